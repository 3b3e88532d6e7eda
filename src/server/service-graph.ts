/** `ServiceGraph`: the services of a server, and which of them depend on which. */
import { ProxyError } from '../error/index.js'
import type { Service } from './service.js'

/** A service that was added to a server; made by `addService`. */
export interface ServiceHandle {
  /** Name of the service. */
  readonly name: string
  /**
   * Has the service start only when `dependency` is ready, however long that takes, and stop before
   * it does. A circle of dependencies is refused by `run`, before anything starts, and by `-t`.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when `dependency` was not added to the same
   * server, or when the server runs already.
   */
  addDependency(dependency: ServiceHandle): void
  /** Adds several dependencies. @throws as {@link ServiceHandle.addDependency}. */
  addDependencies(dependencies: Iterable<ServiceHandle>): void
}

/** One service among the others. */
export class ServiceNode implements ServiceHandle {
  readonly service: Service
  /** What must be ready before it starts. */
  readonly dependencies: Set<ServiceNode> = new Set<ServiceNode>()
  /** What must have stopped before it stops. */
  readonly dependents: Set<ServiceNode> = new Set<ServiceNode>()
  readonly #graph: ServiceGraph

  constructor(graph: ServiceGraph, service: Service) {
    this.#graph = graph
    this.service = service
  }

  get name(): string {
    return this.service.name
  }

  addDependency(dependency: ServiceHandle): void {
    this.#graph.assertOpen(this.name)
    if (!(dependency instanceof ServiceNode) || dependency.#graph !== this.#graph) {
      const reason = `service ${this.name}: ${dependency.name} was not added to the same server`
      throw new ProxyError('PGR_OPTION_INVALID', reason)
    }
    this.dependencies.add(dependency)
    dependency.dependents.add(this)
  }

  addDependencies(dependencies: Iterable<ServiceHandle>): void {
    for (const dependency of dependencies) this.addDependency(dependency)
  }
}

/** Services in the order in which they were added, and the orders that follow from their dependencies. */
export class ServiceGraph {
  readonly #nodes: ServiceNode[] = []
  #isSealed = false

  /** Services that do not depend on each other. */
  static of(services: Iterable<Service>): ServiceGraph {
    const graph = new ServiceGraph()
    for (const service of services) graph.add(service)
    return graph
  }

  /** All services with their dependencies, as they were added. */
  get nodes(): readonly ServiceNode[] {
    return this.#nodes
  }

  /** All services, as they were added. */
  get services(): readonly Service[] {
    return this.#nodes.map(({ service }) => service)
  }

  /** Adds a service. @throws {@link ProxyError} `PGR_OPTION_INVALID` when they run already. */
  add(service: Service): ServiceHandle {
    this.assertOpen(service.name)
    const node = new ServiceNode(this, service)
    this.#nodes.push(node)
    return node
  }

  /**
   * Adds to `other` what `replace` makes of each service, with the same dependencies among them.
   * @param replace gets the place of the service too; `null` leaves it out.
   * @returns the new handles.
   */
  replaceInto(
    other: ServiceGraph,
    replace: (service: Service, index: number) => Service | null,
  ): ReadonlyMap<ServiceNode, ServiceHandle> {
    const handles = new Map<ServiceNode, ServiceHandle>()
    for (const [index, node] of this.#nodes.entries()) {
      const service = replace(node.service, index)
      if (service !== null) handles.set(node, other.add(service))
    }
    for (const [node, handle] of handles) {
      for (const dependency of node.dependencies) {
        const replaced = handles.get(dependency)
        if (replaced !== undefined) handle.addDependency(replaced)
      }
    }
    return handles
  }

  /** They run: from here on nothing can be added. */
  seal(): void {
    this.#isSealed = true
  }

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` after {@link ServiceGraph.seal}. */
  assertOpen(name: string): void {
    if (!this.#isSealed) return
    throw new ProxyError('PGR_OPTION_INVALID', `service ${name}: the server runs already`)
  }

  /**
   * That there is an order in which they can start.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` with the names of a circle, such as `a -> b -> a`.
   */
  check(): void {
    sorted(this.#nodes, (node) => node.dependencies)
  }

  /** Each service after all that depend on it; else as they were added. */
  get dependentsFirst(): ServiceNode[] {
    return sorted(this.#nodes, (node) => node.dependents)
  }

  /**
   * Those with `startsFirst` and all that they depend on, and the others. In both lists each service
   * comes after all that it depends on, else they are as they were added.
   */
  get groups(): { readonly first: ServiceNode[]; readonly later: ServiceNode[] } {
    const ordered = sorted(this.#nodes, (node) => node.dependencies)
    const eager = ordered.filter(({ service }) => service.startsFirst === true)
    const first = new Set(sorted(eager, (node) => node.dependencies))
    return {
      first: ordered.filter((node) => first.has(node)),
      later: ordered.filter((node) => !first.has(node)),
    }
  }
}

/** `nodes` and all that edges lead to from them, each after those that its own edges lead to. */
function sorted(
  nodes: readonly ServiceNode[],
  edgesOf: (node: ServiceNode) => Iterable<ServiceNode>,
): ServiceNode[] {
  const done = new Set<ServiceNode>()
  const path: ServiceNode[] = []
  const visit = (node: ServiceNode): void => {
    if (done.has(node)) return
    const at = path.indexOf(node)
    if (at >= 0) throw circleOf([...path.slice(at), node])
    path.push(node)
    for (const next of edgesOf(node)) visit(next)
    path.pop()
    done.add(node)
  }
  for (const node of nodes) visit(node)
  return [...done]
}

function circleOf(path: readonly ServiceNode[]): ProxyError {
  const names = path.map(({ name }) => name).join(' -> ')
  return new ProxyError('PGR_OPTION_INVALID', `services that depend on each other: ${names}`)
}
