/** http-proxy with a keep-alive agent: `node http-proxy.js LISTEN_PORT BACKEND_HOST:PORT`. */
import http from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'

/** The part of http-proxy that is used here; the package brings no types. */
interface HttpProxy {
  web(request: IncomingMessage, response: ServerResponse): void
  on(event: 'error', listener: (error: Error, request: unknown, response: unknown) => void): void
}
interface HttpProxyModule {
  createProxyServer(options: object): HttpProxy
}

const require = createRequire(import.meta.url)
const { createProxyServer } = require('http-proxy') as HttpProxyModule

const [port, backend] = process.argv.slice(2)
const proxy = createProxyServer({
  target: `http://${backend}`,
  agent: new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 128 }),
  changeOrigin: true,
})
proxy.on('error', (_error, _request, response) => {
  if (!(response instanceof http.ServerResponse) || response.headersSent) return
  response.writeHead(502).end()
})
const server = http.createServer((request, response) => {
  proxy.web(request, response)
})
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 })
