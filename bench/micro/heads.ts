/** Heads as they come over the wire, for the codec's micro-benchmarks. */

/** What wrk sends: the smallest request a benchmark of a proxy sees. */
export const SMALL_REQUEST: string = lines('GET /small HTTP/1.1', 'Host: 127.0.0.1:6188')

/** What a browser sends with a page's request. */
export const BROWSER_REQUEST: string = lines(
  'GET /articles/2026/11/how-a-proxy-works?utm_source=feed&page=2 HTTP/1.1',
  'Host: www.example.com',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Referer: https://www.example.com/articles/2026/11/',
  'Cookie: session=5f2b8c1e9d3a4f7086b1c2d3e4f5a6b7; theme=dark; consent=yes',
  'Connection: keep-alive',
  'Upgrade-Insecure-Requests: 1',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'If-None-Match: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
)

/** What nginx answers to a small request. */
export const SMALL_RESPONSE: string = lines(
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Tue, 24 Nov 2026 10:00:00 GMT',
  'Content-Type: text/plain',
  'Content-Length: 12',
  'Connection: keep-alive',
)

function lines(...all: readonly string[]): string {
  return `${all.join('\r\n')}\r\n\r\n`
}
