/** fast-proxy over its undici pool: `node fast-proxy.js LISTEN_PORT BACKEND_HOST:PORT`. */
import http from 'node:http'
import { fastProxy } from 'fast-proxy'

const [port, backend] = process.argv.slice(2)
const { proxy } = fastProxy({
  base: `http://${backend}`,
  undici: { connections: 128, pipelining: 1 },
})
const server = http.createServer((request, response) => {
  proxy(request, response, request.url ?? '/')
})
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 })
