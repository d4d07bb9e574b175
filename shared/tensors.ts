/** A tensor outside any backend: float32, row-major, in the published (PyTorch) layout. */
export interface HostTensor {
  shape: number[];
  data: Float32Array;
}
export type StateDict = Map<string, HostTensor>;

/** Tensors by name, each of which may be made or read only when it is asked for. */
export type TensorSource = Pick<StateDict, 'get'>;

/** Tensors one after the other, each made when its turn comes; gone through once. */
export type TensorSequence = Iterable<readonly [name: string, tensor: HostTensor]>;
