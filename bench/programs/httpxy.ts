/** httpxy with a keep-alive agent: `node httpxy.js LISTEN_PORT BACKEND_HOST:PORT`. */
import http from 'node:http'
import { createProxyServer } from 'httpxy'

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
  // Its errors come through the event above; the promise carries the same ones a second time.
  proxy.web(request, response).catch(() => undefined)
})
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 })
