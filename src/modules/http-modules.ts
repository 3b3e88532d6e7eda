/** `HttpModules`: which modules a proxy has; `ModuleContext`: those of one request. */
import { ProxyError } from '../error/index.js'
import type { HttpModule, HttpModuleBuilder, ModuleClass } from './http-module.js'

/** The modules of a proxy, as `initDownstreamModules` adds them. */
export class HttpModules {
  readonly #builders: HttpModuleBuilder[] = []
  #isSealed = false

  /**
   * Adds one. @throws {@link ProxyError} `PGR_OPTION_INVALID` when there is one of its class already, and
   * once the service is built.
   */
  addModule<M extends HttpModule>(builder: HttpModuleBuilder<M>): void {
    const { name } = builder.module
    if (this.#isSealed) throw invalid(`${name} comes too late: the service has been built`)
    if (this.#builders.some(({ module }) => module === builder.module))
      throw invalid(`${name} was added already`)
    this.#builders.push(builder)
  }

  /** Called by the service when all are there: their builders, in the order in which they run. */
  seal(): readonly HttpModuleBuilder[] {
    this.#isSealed = true
    return this.#builders.sort((a, b) => (b.order ?? 0) - (a.order ?? 0))
  }
}

/** The modules of one request. */
export class ModuleContext {
  readonly #builders: readonly HttpModuleBuilder[]
  readonly #modules: readonly HttpModule[]

  /** Makes the modules. */
  constructor(builders: readonly HttpModuleBuilder[]) {
    this.#builders = builders
    this.#modules = builders.map((builder) => builder.init())
  }

  /** The module of this class; `undefined` when none was added. */
  get<M extends HttpModule>(module: ModuleClass<M>): M | undefined {
    const index = this.#builders.findIndex((builder) => builder.module === module)
    return this.#modules[index] as M | undefined
  }

  /** All of them, in the order in which they run. */
  get all(): readonly HttpModule[] {
    return this.#modules
  }
}

/** Of a proxy without modules. */
export const NO_MODULES: ModuleContext = new ModuleContext([])

function invalid(message: string): ProxyError {
  return new ProxyError('PGR_OPTION_INVALID', `module ${message}`)
}
