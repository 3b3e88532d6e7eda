/** The demo, on a port that is free. */
import { startDemo } from '../../src/cli/demo/start-demo.js'

await startDemo('127.0.0.1:0')
