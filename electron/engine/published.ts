import type { RunConfigInput } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';

/**
 * How the files of a method's published code have its tensors: `published` of methods/NAME/published.ts. Before it is asked,
 * a file has lost what any file may have: the `module.` of distributed training, and timm's own names.
 */
export interface Published {
  /**
   * Where torch.save's dict has tensors beside the usual keys (`model`, `state_dict`, `module`): the first of these lists
   * whose keys are all there. Keys of one list are read together, each tensor's name with its key and a dot in front.
   */
  keys: readonly (readonly string[])[];
  /** Whether tensors say that the method trained them. */
  recognise(file: StateDict): Recognised;
  /** A file's networks under the workbench's names. What is in none of them may be left in the student: it is said. */
  read(file: StateDict): { student: StateDict; teacher?: StateDict };
  /** The way back, of one network. */
  write(state: StateDict, network: 'student' | 'teacher'): StateDict;
  /** What shapes say. @param student under the workbench's names @throws AppError bad-file for what is no such network */
  sizes(student: StateDict): Sizes;
  /** Settings that are valid for whatever sizes a file has. */
  assumes: RunConfigInput;
  /** What a file may lack beside its encoder, each whole: by the beginnings of its tensors' names. */
  parts: readonly { title: string; begins: readonly string[] }[];
}

/** `method`: by tensors that no other trains. `encoder`: an encoder alone, as this method trains it. */
export type Recognised = 'method' | 'encoder' | null;

export interface Sizes {
  config: RunConfigInput;
  /** Settings in it that shapes do not say, dotted: what published code most often has. */
  unsaid: readonly string[];
}
