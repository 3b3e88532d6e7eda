/** The HTTP/1 vectors of `http-vectors.json`: raw bytes with the outcome a proxy must show. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../helpers/project-root.js'

/** What must happen to a request; the head of the JSON file explains each class. */
export type RequestClass = 'accept' | 'reject' | 'strict' | 'accept-close' | 'wait' | 'limit'

/** A request as raw bytes. */
export interface RequestVector {
  readonly id: string
  readonly group: string
  readonly cls: RequestClass
  readonly note: string
  /** The bytes, one character each. */
  readonly text: string
  /** What the upstream must receive as body. */
  readonly body?: string
  /** Statuses that are allowed instead of, or demanded for, what the class says. */
  readonly status?: readonly number[]
  /** Responses that must come, and that may come at the most. */
  readonly responses?: number
  readonly maxResponses?: number
  /** The connection must be closed afterwards. */
  readonly close?: boolean
  /** A rejection is preferred but not demanded. */
  readonly soft?: boolean
  /** A path that must never reach the upstream. */
  readonly forbid?: string
  /** The bytes try to smuggle a request for `/smuggled`. */
  readonly smuggle?: boolean
  /** The upstream must see the body as framed by its length. */
  readonly framingCl?: boolean
  /** Routing and framing fields may not reach the upstream as trailers. */
  readonly upstreamTrailerForbidden?: boolean
}

/** What must happen to a response. */
export type ResponseClass = 'accept' | 'reject' | 'truncated' | 'either'

/** A response as raw bytes, after which the upstream closes. */
export interface ResponseVector {
  readonly id: string
  readonly cls: ResponseClass
  readonly note: string
  readonly text: string
  readonly body?: string
  /** The status that the client must see. Default: 200. */
  readonly status?: number
  /** The method that is answered. Default: GET. */
  readonly method?: string
  /** A field that must not reach the client. */
  readonly clientMissing?: string
  /** A cleaned-up answer is as good as a refusal. */
  readonly sanitizeOk?: boolean
}

/** All vectors. */
export interface Vectors {
  readonly request: readonly RequestVector[]
  readonly response: readonly ResponseVector[]
}

/** Reads the vectors; `gen` is written out, and the fields that only HTTP/2 needs stay out. */
export function loadVectors(): Vectors {
  const path = join(projectRoot(), 'test/conformance/http-vectors.json')
  const { request, response } = JSON.parse(readFileSync(path, 'utf8')) as RawFile
  return {
    request: request.map((vector) => ({
      ...(vector as unknown as RequestVector),
      text: textOf(vector),
    })),
    response: response.map((vector) => ({
      ...(vector as unknown as ResponseVector),
      text: textOf(vector),
    })),
  }
}

interface RawFile {
  readonly request: readonly RawVector[]
  readonly response: readonly RawVector[]
}

interface RawVector {
  readonly id: string
  readonly bytes?: string
  readonly gen?: readonly [string, string, number, string]
}

function textOf({ id, bytes, gen }: RawVector): string {
  if (gen !== undefined) return gen[0] + gen[1].repeat(gen[2]) + gen[3]
  if (bytes === undefined) throw new Error(`vector ${id} has no bytes`)
  return bytes
}
