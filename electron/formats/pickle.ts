import { AppError } from '../../shared/errors.ts';
import { GLOBALS, type Global, Inert, type Pickled, reduce, storageOf } from './pickle-globals.ts';

/**
 * Opcodes of a pickle: each makes an object at most. A model of ten thousand tensors takes half a million; tens of
 * millions of empty containers, a byte each, would fill the memory.
 */
const MOST_STEPS = 2_000_000;

/**
 * Reads the pickles that torch.save writes, and executes nothing: a small stack machine over the opcodes that containers
 * and tensors need (Python's pickletools.py describes them), where a global is looked up in a fixed table. Any other
 * opcode or global ends it.
 * @returns dicts as maps, lists and tuples as arrays; a value may contain itself
 * @throws AppError bad-file
 */
export function parsePickle(bytes: Buffer): Pickled {
  let at = 0;
  let stack: Pickled[] = [];
  const marked: Pickled[][] = [];
  const memo = new Map<number, Pickled>();

  const take = (length: number): Buffer => {
    if (!(length <= bytes.length - at)) refuse('It is truncated.');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const u8 = () => take(1)[0]!;
  const u32 = () => take(4).readUInt32LE();
  const u64 = () => Number(take(8).readBigUInt64LE());
  const line = (): string => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) refuse('It is truncated.');
    return take(end + 1 - at)
      .subarray(0, -1)
      .toString('utf8');
  };
  const pop = (): Pickled => (stack.length > 0 ? stack.pop()! : refuse('Its stack runs empty.'));
  const peek = (): Pickled => (stack.length > 0 ? stack.at(-1)! : refuse('Its stack runs empty.'));
  /** Items pushed since the last mark, which is removed. */
  const sinceMark = (): Pickled[] => {
    const items = stack;
    stack = marked.pop() ?? refuse('It lacks a mark.');
    return items;
  };
  const popMany = (count: number): Pickled[] => {
    if (stack.length < count) refuse('Its stack runs empty.');
    return stack.splice(stack.length - count);
  };
  const recall = (index: number): Pickled => {
    if (!memo.has(index)) refuse('It refers to an object that it has not defined.');
    return memo.get(index)!;
  };
  const text = (length: number) => take(length).toString('utf8');
  const long = (length: number): Pickled => {
    if (length > 1024) refuse('It holds a number that is too long.');
    let value = 0n;
    for (const byte of take(length).toReversed()) value = (value << 8n) | BigInt(byte);
    return Number(BigInt.asIntN(8 * length, value));
  };
  const append = (items: Pickled[]) => {
    const list = peek();
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (list instanceof Set) for (const item of items) list.add(item);
    else refuse('It appends to something that is not a list.');
  };
  const setItems = (items: Pickled[]) => {
    const dict = peek();
    if (!(dict instanceof Map) || items.length % 2 !== 0)
      return refuse('It sets items of something that is not a dict.');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i]!, items[i + 1]!);
  };
  const global = (module: string, name: string): Global => {
    const known = GLOBALS.get(`${module}.${name}`);
    if (!known) {
      const why = `It asks for ${JSON.stringify(`${module}.${name}`.slice(0, 200))}, which is neither a tensor nor a plain container; nothing was executed.`;
      return refuse(why);
    }
    return known;
  };
  const build = () => {
    pop();
    const target = peek();
    // An OrderedDict's attributes (a state dict's version numbers) are not needed; an inert object keeps nothing.
    if (!(target instanceof Map || target instanceof Inert))
      refuse('It sets attributes of an object that is no container.');
  };

  for (let steps = 1; ; steps++) {
    if (steps > MOST_STEPS) refuse(`It makes more than ${MOST_STEPS} objects.`);
    const code = u8();
    switch (code) {
      case 0x80: {
        const protocol = u8();
        if (protocol < 2 || protocol > 5) refuse(`Its pickle protocol is ${protocol}; 2 to 5 are read.`);
        break;
      }
      case 0x95: // FRAME: a hint for readers
        take(8);
        break;
      case 0x2e: // STOP
        return pop();
      case 0x28: // MARK
        marked.push(stack);
        stack = [];
        break;
      case 0x30: // POP
        pop();
        break;
      case 0x31: // POP_MARK
        sinceMark();
        break;

      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        stack.push(code === 0x88);
        break;
      case 0x4a: // BININT
        stack.push(take(4).readInt32LE());
        break;
      case 0x4b: // BININT1
        stack.push(u8());
        break;
      case 0x4d: // BININT2
        stack.push(take(2).readUInt16LE());
        break;
      case 0x8a: // LONG1
        stack.push(long(u8()));
        break;
      case 0x8b: // LONG4
        stack.push(long(u32()));
        break;
      case 0x47: // BINFLOAT
        stack.push(take(8).readDoubleBE());
        break;
      case 0x55: // SHORT_BINSTRING
      case 0x8c: // SHORT_BINUNICODE
        stack.push(text(u8()));
        break;
      case 0x54: // BINSTRING
      case 0x58: // BINUNICODE
        stack.push(text(u32()));
        break;
      case 0x8d: // BINUNICODE8
        stack.push(text(u64()));
        break;
      case 0x43: // SHORT_BINBYTES
        take(u8());
        stack.push(new Inert('bytes'));
        break;
      case 0x42: // BINBYTES
        take(u32());
        stack.push(new Inert('bytes'));
        break;

      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        break;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x8f: // EMPTY_SET
        stack.push(new Set());
        break;
      case 0x74: // TUPLE
      case 0x6c: {
        // LIST
        const items = sinceMark();
        stack.push(items);
        break;
      }
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        stack.push(popMany(code - 0x84));
        break;
      case 0x64: {
        // DICT
        const items = sinceMark();
        stack.push(new Map());
        setItems(items);
        break;
      }
      case 0x61: // APPEND
        append([pop()]);
        break;
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        append(sinceMark());
        break;
      case 0x73: // SETITEM
        setItems(popMany(2));
        break;
      case 0x75: // SETITEMS
        setItems(sinceMark());
        break;

      case 0x71: // BINPUT
        memo.set(u8(), peek());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(u32(), peek());
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, peek());
        break;
      case 0x68: // BINGET
        stack.push(recall(u8()));
        break;
      case 0x6a: // LONG_BINGET
        stack.push(recall(u32()));
        break;

      case 0x63: // GLOBAL
        stack.push(global(line(), line()));
        break;
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string')
          return refuse('It has a class whose name is not text.');
        stack.push(global(module, name));
        break;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callable, args] = popMany(2);
        stack.push(reduce(callable!, args!));
        break;
      }
      case 0x62: // BUILD
        build();
        break;
      case 0x51: // BINPERSID
        stack.push(storageOf(pop()));
        break;
      default:
        refuse(`Its pickle has opcode 0x${code.toString(16)}, which tensors and plain containers do not need.`);
    }
  }
}

function refuse(why: string): never {
  throw new AppError('bad-file', 'The pickle in the file was refused.', why, 'Use a file that holds weights only.');
}
