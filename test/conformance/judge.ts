/** Judges what was seen on both sides of a proxy against the class of a vector. */
import { readCanonicalRequest } from '../helpers/canonical-request.js'
import type { RawResponse } from '../helpers/raw-client.js'
import type { RecordedRequest } from '../helpers/recording-backend.js'
import type { RequestVector, ResponseVector } from './vectors.js'

/** What was seen after a vector had gone through, and nothing more was to come. */
export interface Observed {
  /** The complete final responses that the client got. */
  readonly responses: readonly RawResponse[]
  /** All bytes that the client got. */
  readonly clientText: string
  /** Whether the proxy closed towards the client. */
  readonly closed: boolean
  /** What reached the upstream. */
  readonly upstream: readonly RecordedRequest[]
}

/** The faults of a request vector's outcome, as sentences. */
export function judgeRequest(vector: RequestVector, observed: Observed): string[] {
  const { responses, closed } = observed
  const upstream = observed.upstream.filter(({ partial }) => !partial)
  const faults = upstream.flatMap(({ raw }) =>
    readCanonicalRequest(raw).faults.map((fault) => `the upstream got ${fault}`),
  )
  const paths = upstream.map(({ path }) => path)
  if (vector.smuggle === true && paths.includes('/smuggled')) faults.push('a request was smuggled')
  if (vector.forbid !== undefined && paths.includes(vector.forbid)) {
    faults.push(`${vector.forbid} reached the upstream`)
  }
  const status = responses[0]?.status ?? 0
  const isAllowed = vector.status?.includes(status) === true
  switch (vector.cls) {
    case 'wait':
      if (observed.clientText !== '') faults.push('an answer came')
      if (closed) faults.push('the connection was closed')
      if (upstream.length > 0) faults.push('a request reached the upstream')
      break
    case 'accept':
      if (!isAllowed) faults.push(...judgeAccepted(vector, observed, upstream))
      break
    case 'reject':
      if (!(vector.soft === true && isSuccess(status)))
        faults.push(...judgeRefused(observed, upstream))
      if (vector.status !== undefined && !isAllowed) faults.push(`status ${status}`)
      break
    case 'strict':
      if (isSuccess(status)) faults.push(...judgeAccepted(vector, observed, upstream))
      else faults.push(...judgeRefused(observed, upstream))
      break
    case 'accept-close':
      if (!isSuccess(status)) faults.push(...judgeRefused(observed, upstream))
      else if (!closed) faults.push('accepted without a close')
      break
    case 'limit':
      if (!isAllowed && !isSuccess(status)) faults.push(...judgeRefused(observed, upstream))
  }
  return faults
}

/** The faults of a response vector's outcome, as sentences. */
export function judgeResponse(vector: ResponseVector, observed: Observed): string[] {
  const { responses, closed } = observed
  const [response] = responses
  const isError = response === undefined ? closed : response.status >= 500
  switch (vector.cls) {
    case 'accept':
      return judgeAnswer(vector, observed)
    case 'either':
      return isError ? [] : judgeAnswer(vector, observed)
    case 'truncated':
      return isError ? [] : [`the client takes the response for complete (${response?.status})`]
    case 'reject':
      // Passing on a cleaned-up answer would be allowed for some; we refuse all of them.
      return isError ? [] : [`status ${response?.status}`]
  }
}

function judgeAccepted(
  vector: RequestVector,
  { responses, closed }: Observed,
  upstream: readonly RecordedRequest[],
): string[] {
  const faults: string[] = []
  const [first] = upstream
  const { body, responses: wanted, maxResponses } = vector
  if (!isSuccess(responses[0]?.status ?? 0)) faults.push(`status ${responses[0]?.status ?? 'none'}`)
  if (first === undefined) return [...faults, 'nothing reached the upstream']
  if (responses.length !== upstream.length) {
    faults.push(`${responses.length} answers to ${upstream.length} requests`)
  }
  if (wanted !== undefined && responses.length !== wanted)
    faults.push(`${responses.length} answers`)
  if (maxResponses !== undefined && responses.length > maxResponses) {
    faults.push(`${responses.length} answers`)
  }
  if (body !== undefined && first.body !== body) faults.push(`body ${JSON.stringify(first.body)}`)
  if (vector.close === true && !closed) faults.push('not closed')
  const { framing, trailers } = readCanonicalRequest(first.raw)
  if (vector.framingCl === true && framing !== 'length') faults.push(`framed as ${framing}`)
  if (vector.upstreamTrailerForbidden === true && trailers.length > 0) {
    faults.push(`trailer ${trailers[0]![0]}`)
  }
  return faults
}

function judgeRefused(
  { responses, clientText, closed }: Observed,
  upstream: readonly RecordedRequest[],
): string[] {
  const faults: string[] = []
  const [response] = responses
  if (response === undefined ? clientText !== '' : response.status < 400) {
    faults.push(`not refused: ${JSON.stringify(clientText.slice(0, 40))}`)
  }
  if (responses.length > 1) faults.push(`${responses.length} answers`)
  if (!closed) faults.push('refused without a close')
  if (upstream.length > 0) faults.push('a complete request reached the upstream')
  return faults
}

function judgeAnswer(vector: ResponseVector, { responses }: Observed): string[] {
  const [response] = responses
  if (response === undefined) return ['no complete response']
  const faults: string[] = []
  const names = response.fields.map(([name]) => name)
  const { body, status = 200, clientMissing } = vector
  if (responses.length > 1) faults.push(`${responses.length} answers`)
  if (response.status !== status) faults.push(`status ${response.status}`)
  if (body !== undefined && response.body !== body) {
    faults.push(`body ${JSON.stringify(response.body)}`)
  }
  if (clientMissing !== undefined && names.includes(clientMissing)) faults.push(clientMissing)
  if (names.includes('content-length') && names.includes('transfer-encoding')) {
    faults.push('both Content-Length and Transfer-Encoding')
  }
  return faults
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
