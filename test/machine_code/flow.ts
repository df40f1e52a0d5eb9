/** Basic blocks and natural loops. */
import type { Kernel } from './code';

export interface Block {
  first: number; // instructions [first, end)
  end: number;
  next: number[];
  previous: number[];
}

export interface Loop {
  header: number; // a block; it has a jump back to here
  blocks: ReadonlySet<number>;
}

function edges(kernel: Kernel, blocks: Block[]): void {
  const { instructions, labels } = kernel;
  const blockAt = new Map(blocks.map(({ first }, b) => [first, b]));
  const link = (from: number, to: number) => {
    if (blocks[from]!.next.includes(to)) return;
    blocks[from]!.next.push(to);
    blocks[to]!.previous.push(from);
  };
  for (const [b, { end }] of blocks.entries()) {
    const { jump } = instructions[end - 1]!;
    for (const target of jump?.targets ?? []) link(b, blockAt.get(labels.get(target)!)!);
    if ((!jump || jump.falls) && b + 1 < blocks.length) link(b, b + 1);
  }
  // What nothing else leads to is taken for an entry of the table of the jump before it; else a subroutine, which leads nowhere.
  let hidden: number | undefined;
  for (const [b, { end, previous }] of blocks.entries()) {
    if (hidden !== undefined && previous.length === 0) link(hidden, b);
    if (instructions[end - 1]!.jump?.hidden) hidden = b;
  }
}

export function basicBlocks(kernel: Kernel): Block[] {
  const { instructions, labels } = kernel;
  const starts = new Set([0]);
  for (const [i, { jump }] of instructions.entries()) {
    if (!jump) continue;
    if (i + 1 < instructions.length) starts.add(i + 1);
    for (const target of jump.targets) {
      const at = labels.get(target);
      if (at === undefined) throw new Error(`Expected a label for the target of ${instructions[i]!.text} in ${kernel.mangled}`);
      starts.add(at);
    }
  }
  const sorted = [...starts].filter((start) => start < instructions.length).sort((a, b) => a - b);
  const blocks = sorted.map((first, b): Block => ({ first, end: sorted[b + 1] ?? instructions.length, next: [], previous: [] }));
  edges(kernel, blocks);
  return blocks;
}

/** Blocks that the first one leads to, each before those that it leads to but for loops. */
export function reachable(blocks: readonly Block[]): number[] {
  const seen = new Set([0]);
  const order: number[] = [];
  const path = [{ block: 0, child: 0 }];
  for (let at = path.at(-1); at; at = path.at(-1)) {
    const next = blocks[at.block]!.next[at.child++];
    if (next === undefined) {
      order.push(at.block);
      path.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      path.push({ block: next, child: 0 });
    }
  }
  return order.reverse();
}

/** For each reachable block the one that every way to it passes last (Cooper, Harvey & Kennedy 2001). */
function dominators(blocks: readonly Block[], order: readonly number[]): Map<number, number> {
  const rank = new Map(order.map((block, i) => [block, i]));
  const above = new Map([[order[0]!, order[0]!]]);
  const meet = (a: number, b: number) => {
    while (a !== b) {
      while (rank.get(a)! > rank.get(b)!) a = above.get(a)!;
      while (rank.get(b)! > rank.get(a)!) b = above.get(b)!;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order.slice(1)) {
      const dominator = blocks[block]!.previous.filter((p) => above.has(p)).reduce(meet);
      if (above.get(block) !== dominator) changed = true;
      above.set(block, dominator);
    }
  }
  return above;
}

/** Loops by header: jumps back to a block that every way to them has passed, and what lies between. */
export function loops(blocks: readonly Block[]): Loop[] {
  const order = reachable(blocks);
  const above = dominators(blocks, order);
  const passed = (header: number, block: number) => {
    let at = block;
    while (at !== header && above.get(at) !== at) at = above.get(at)!;
    return at === header;
  };
  return order.flatMap((header) => {
    const jumpsBack = blocks[header]!.previous.filter((block) => above.has(block) && passed(header, block));
    if (jumpsBack.length === 0) return [];
    const body = new Set([header]);
    const open = [...jumpsBack];
    for (let block = open.pop(); block !== undefined; block = open.pop()) {
      if (body.has(block)) continue;
      body.add(block);
      open.push(...blocks[block]!.previous.filter((previous) => above.has(previous)));
    }
    return [{ header, blocks: body }];
  });
}
