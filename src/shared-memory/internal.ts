/** What higher parts share between threads: regions, snapshots, slots per worker, exact turns. */
export { AtomicIndex } from './atomic-index.js'
export { float64, int32 } from './shape.js'
export type { Field, NumberType, Shape, Views } from './shape.js'
export { SharedRegistry } from './shared-registry.js'
export type {
  PerThreadRegion,
  Region,
  RegionDescription,
  Shareable,
  SharedMemoryDescription,
  Sharing,
} from './shared-registry.js'
export { Snapshot } from './snapshot.js'
export type { SnapshotCopy, SnapshotOptions } from './snapshot.js'
export { threadRegistry, workerMemory } from './thread-registry.js'
export { WorkerSlots } from './worker-slots.js'
export type { WorkerSlotsOptions } from './worker-slots.js'
