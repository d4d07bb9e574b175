import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';

/** What is used of Dawn's objects (npm `webgpu`) and of tfjs's backend, which has no types for Node. */
interface GpuBuffer {
  readonly size: number;
  readonly mapState: 'unmapped' | 'pending' | 'mapped';
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
}
interface GpuDevice {
  readonly lost: Promise<{ reason: string; message: string }>;
  addEventListener(type: 'uncapturederror', listener: (event: { error: Error }) => void): void;
}
interface GpuAdapter {
  readonly info: {
    vendor: string;
    architecture: string;
    device: string;
    description: string;
    isFallbackAdapter: boolean;
  };
  readonly features: ReadonlySet<string>;
  readonly limits: Record<string, number>;
  requestDevice(descriptor: object): Promise<GpuDevice>;
}
type Values = ReturnType<typeof tf.util.convertBackendValuesAndArrayBuffer>;
interface TensorData {
  values: Values | null;
  dtype: tf.DataType;
  resource: GpuBuffer;
}
interface WebGpuBackend extends Omit<tf.KernelBackend, 'readSync'> {
  readonly tensorMap: { get(id: object): TensorData };
  readonly bufferManager: { acquireBuffer(size: number, usage: number): GpuBuffer; releaseBuffer(b: GpuBuffer): void };
  commandEncoder: { copyBufferToBuffer(from: GpuBuffer, at: number, to: GpuBuffer, toAt: number, size: number): void };
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  readSync(id: object): Values;
}

/** Limits that are asked for as large as the adapter has them: a model's tensors pass the defaults. */
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
  'maxStorageBuffersPerShaderStage',
];
/** `GPUMapMode.READ`, and `GPUBufferUsage.MAP_READ | COPY_DST` of the WebGPU specification. */
const MAP_READ = 1;
const STAGING = 1 | 8;
/** Asks at once so often whether a buffer can be read before it begins to sleep between, and for how long, ms. */
const EAGER_TICKS = 50;
const NAP = 0.05;

const require = createRequire(import.meta.url);

export interface WebGpuAdapter {
  /** In words. */
  name: string;
  /** Computed on the CPU (SwiftShader, llvmpipe). */
  isSoftware: boolean;
}

/**
 * Dawn looks for answers of the GPU in a function that it gives to `setImmediate` and nowhere else, so nothing is ever
 * answered while JavaScript waits. This notes that function, so that `tick` can call it at once. Everybody else's
 * immediates pass by.
 */
class DawnTicks {
  #waiting: (() => void) | null = null;

  constructor() {
    const real = globalThis.setImmediate;
    const noting = (callback: (...args: unknown[]) => void, ...args: unknown[]) => {
      const isDawns = args.length === 0 && callback.name === '' && String(callback).includes('[native code]');
      if (!isDawns) return real(callback, ...args);
      this.#waiting = callback;
      return real(() => {
        if (this.#waiting === callback) this.tick();
      });
    };
    globalThis.setImmediate = Object.assign(noting, real) as typeof setImmediate;
  }

  tick(): void {
    const callback = this.#waiting;
    this.#waiting = null;
    callback?.();
  }
}

/** What an adapter calls itself; Dawn's description is a driver's on some systems, so the vendor's names come first. */
function nameOf({ vendor, architecture, device, description }: GpuAdapter['info']): string {
  const named = [vendor, architecture].filter(Boolean).join(' ');
  const more = description || device;
  return more ? `${more}${named ? ` (${named})` : ''}` : named || 'unnamed adapter';
}

/**
 * Makes the fastest GPU that Dawn finds (Vulkan, Metal, Direct3D 12) the one that computes, as tfjs's backend `webgpu`.
 * @param allowSoftware takes an adapter that computes on the CPU too
 * @throws Error in one sentence: no adapter, or only one on the CPU
 */
export async function setWebGpu({ allowSoftware }: { allowSoftware: boolean }): Promise<WebGpuAdapter> {
  const { create, globals } = (await import('webgpu')) as unknown as {
    create(options: string[]): { requestAdapter(options: object): Promise<GpuAdapter | null> };
    globals: object;
  };
  Object.assign(globalThis, globals);
  const ticks = new DawnTicks();
  const gpu = create([]);
  // tfjs asks whether there is a `navigator.gpu`, and Node's navigator has none.
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('No GPU was found: its driver for Vulkan, Metal or Direct3D 12 may be missing.');
  const { isFallbackAdapter: isSoftware } = adapter.info;
  const name = nameOf(adapter.info);
  if (isSoftware && !allowSoftware)
    throw new Error(`The only adapter, ${name}, computes on the CPU, slower than the other backends.`);
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
  const { WebGPUBackend } = require('@tensorflow/tfjs-backend-webgpu') as {
    WebGPUBackend: new (device: GpuDevice, info: object) => WebGpuBackend;
  };
  tf.removeBackend('webgpu'); // the package's own, which asks for no software adapter to be refused
  tf.registerBackend('webgpu', () => {
    const backend = new WebGPUBackend(device, adapter.info);
    readAtOnce(backend, device, ticks);
    return backend as unknown as tf.KernelBackend;
  });
  addPairwise();
  if (!(await tf.setBackend('webgpu'))) throw new Error(`${name} did not start.`);
  return { name, isSoftware };
}

/**
 * Gives the backend a `readSync`, which tfjs has for canvases of browsers alone: what was asked of the GPU is sent, and
 * answers are looked for until the values are there. Whatever the GPU refused meanwhile (memory that it has not, a
 * device that was lost) is thrown there: its results would be read as zeros.
 */
function readAtOnce(backend: WebGpuBackend, device: GpuDevice, ticks: DawnTicks): void {
  let fault: string | null = null;
  device.addEventListener('uncapturederror', ({ error }) => {
    fault ??= error.message;
  });
  void device.lost.then(({ reason, message }) => {
    fault ??= `The GPU was lost (${reason}): ${message}`;
  });
  const clock = new Int32Array(new SharedArrayBuffer(4));
  backend.readSync = (id) => {
    const data = backend.tensorMap.get(id);
    if (data.values) return data.values;
    const staging = backend.bufferManager.acquireBuffer(data.resource.size, STAGING);
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.commandEncoder.copyBufferToBuffer(data.resource, 0, staging, 0, data.resource.size);
    backend.submitQueue();
    staging.mapAsync(MAP_READ).catch((error: Error) => {
      fault ??= error.message;
    });
    for (let turn = 0; staging.mapState === 'pending'; turn++) {
      if (turn > EAGER_TICKS) Atomics.wait(clock, 0, 0, NAP);
      ticks.tick();
    }
    if (fault !== null || staging.mapState !== 'mapped')
      throw new Error(`The GPU could not compute this: ${fault ?? 'it was lost'}`);
    const values = tf.util.convertBackendValuesAndArrayBuffer(staging.getMappedRange().slice(0), data.dtype);
    staging.unmap();
    backend.bufferManager.releaseBuffer(staging);
    data.values = values;
    return values;
  };
}

/** tfjs adds any number of tensors in one kernel, which has more buffers than a GPU binds: ours adds one after the other. */
function addPairwise(): void {
  tf.unregisterKernel('AddN', 'webgpu');
  const add = tf.getKernel('Add', 'webgpu').kernelFunc;
  const identity = tf.getKernel('Identity', 'webgpu').kernelFunc;
  tf.registerKernel({
    kernelName: 'AddN',
    backendName: 'webgpu',
    kernelFunc: ({ inputs, backend, attrs }) => {
      const [first, ...others] = inputs as unknown as tf.TensorInfo[];
      if (others.length === 0) return identity({ inputs: { x: first! }, backend, attrs: {} });
      return others.reduce((sum, b, i) => {
        const next = add({ inputs: { a: sum, b }, backend, attrs: attrs ?? {} }) as tf.TensorInfo;
        if (i > 0) (backend as tf.KernelBackend).disposeData(sum.dataId);
        return next;
      }, first!);
    },
  });
}
