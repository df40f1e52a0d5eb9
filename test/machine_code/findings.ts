/** What is wrong with a kernel's machine code. */
import type { Kernel } from './code';
import { type Block, basicBlocks, type Loop, loops } from './flow';
import { type KernelName, kernelName } from './kernel_name';
import { accesses, type Followed } from './pointers';

const WIDE_BYTES = 16;

/** Tensors that a kernel reads and writes, by the operation it is part of; where that is not known, it reads one. */
function tensorsOf(name: string): { load: number; store: number } {
  if (/forward|transform/i.test(name)) return { load: 2, store: 1 }; // input, residual; output
  // The input, the gradient at the output, and a residual where the activation looks at it; gradients of the input and the residual.
  if (/backward/i.test(name)) return { load: 2, store: 2 };
  return { load: 1, store: 0 };
}

const pointersOf = (moved: readonly Followed[]) => new Set(moved.flatMap(({ pointers }) => [...pointers]));
/** Under predicates a register may seem to hold two pointers; one alone is certain. */
const certain = ({ pointers }: Followed) => pointers.size === 1;
const wide = ({ bytes }: Followed) => bytes >= WIDE_BYTES;

/**
 * Accesses to global memory by pointers that tensors may be behind. Not parameters and samples, whose loads say that caches serve them;
 * not what blocks tell each other, which is both written and read.
 */
function tensorAccesses(kernel: Kernel, blocks: readonly Block[]): Followed[] {
  const moved = accesses(kernel, blocks).filter(
    ({ space, instruction }) =>
      (space === 'global' || space === 'generic') && !instruction.callers?.some((name) => name.includes('loadParameter')),
  );
  const written = pointersOf(moved.filter((access) => access.kind === 'store' && certain(access)));
  const read = pointersOf(moved.filter((access) => access.kind === 'load' && certain(access)));
  const both = new Set([...read].filter((pointer) => written.has(pointer)));
  const rest = moved.map((access) => ({ ...access, pointers: new Set([...access.pointers].filter((pointer) => !both.has(pointer))) }));
  return rest.filter(({ pointers }) => pointers.size > 0);
}

/** What the loops that move memory and have no such loop in them move; all there is where there is no such loop. */
function hotRegions(blocks: readonly Block[], moved: readonly Followed[]): Followed[][] {
  const reaching = loops(blocks).filter((loop) => moved.some(({ block }) => loop.blocks.has(block)));
  const innermost = reaching.filter((loop: Loop) => !reaching.some((other) => other !== loop && loop.blocks.has(other.header)));
  return innermost.length === 0 ? [[...moved]] : innermost.map((loop) => moved.filter(({ block }) => loop.blocks.has(block)));
}

/** An access to each tensor that the region moves in pieces alone. A slot filled in part may be, where whole ones are not. */
function inPieces(region: readonly Followed[], tensors: ReadonlySet<string>): Followed[] {
  const whole = pointersOf(region.filter(wide));
  const left = [...tensors].filter((tensor) => !whole.has(tensor));
  return left.flatMap((tensor) => region.find(({ pointers }) => pointers.has(tensor)) ?? []);
}

function findingsOfWide({ name }: KernelName, kernel: Kernel): string[] {
  const blocks = basicBlocks(kernel);
  const moved = tensorAccesses(kernel, blocks);
  return (['load', 'store'] as const).flatMap((kind) => {
    const regions = hotRegions(blocks, moved).map((region) => region.filter((access) => access.kind === kind));
    const whole = moved.filter((access) => access.kind === kind && wide(access));
    const count = pointersOf(whole).size;
    const expected = tensorsOf(name)[kind];
    const missing = count < expected ? [`16-byte ${kind}s move ${count} tensors, expected ${expected}`] : [];
    // Where callers are unknown, samples cannot be told from tensors.
    const tensors = pointersOf(whole.filter(certain));
    const narrow = kind === 'load' && !moved[0]?.instruction.callers ? [] : regions.flatMap((region) => inPieces(region, tensors));
    return [...missing, ...narrow.map(({ instruction: { text, place } }) => `a tensor is moved in pieces: ${text} at ${place}`)];
  });
}

/**
 * One line each: local memory in any kernel; in wide ones, loops that move a tensor in pieces of less than 16 bytes, or too few tensors
 * that are moved by 16.
 */
export function findings(kernel: Kernel): string[] {
  const name = kernelName(kernel.mangled);
  const local = kernel.instructions.find(({ access }) => access?.space === 'local');
  const found = local ? [`local memory: ${local.text} at ${local.place}`] : [];
  if (name.wide) found.push(...findingsOfWide(name, kernel));
  return found.map((finding) => `${name.readable} on ${kernel.architecture}: ${finding}`);
}
