/** Which of the kernel's pointers an access follows: parameters that its address is made of by moving and adding. */
import type { Access, Instruction, Kernel } from './code';
import { type Block, reachable } from './flow';

/** A register's parameters, where it has any. */
type State = Map<string, ReadonlySet<string>>;

const NONE: ReadonlySet<string> = new Set();

function union(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  const filled = sets.filter((set) => set.size > 0);
  return filled.length <= 1 ? (filled[0] ?? NONE) : new Set(filled.flatMap((set) => [...set]));
}

/** Goes through a block. What was written under a predicate is what is read under it; without it, it may also be what was there before. */
class Walk {
  private readonly guarded = new Map<string, { guard: string; parameters: ReadonlySet<string> }>(); // last, and by that alone

  constructor(readonly state: State) {}

  read(sources: readonly string[], guard: string | undefined): ReadonlySet<string> {
    return union(
      sources.map((source) => {
        if (source.startsWith('param ')) return new Set([source]);
        const under = this.guarded.get(source);
        return under && under.guard === guard ? under.parameters : (this.state.get(source) ?? NONE);
      }),
    );
  }

  step({ guard, writes, addends }: Instruction): void {
    const parameters = this.read(addends, guard);
    for (const register of writes) {
      const after = guard ? union([parameters, this.state.get(register) ?? NONE]) : parameters;
      if (after.size > 0) this.state.set(register, after);
      else this.state.delete(register);
      if (guard) this.guarded.set(register, { guard, parameters });
      else this.guarded.delete(register);
    }
  }
}

/** Registers that some block reads before it writes them; what others hold does not outlive their block. */
function carriedBetween({ instructions }: Kernel, blocks: readonly Block[]): Set<string> {
  const carried = new Set<string>();
  for (const { first, end } of blocks) {
    const written = new Set<string>();
    for (const { addends, access, guard, writes } of instructions.slice(first, end)) {
      for (const register of [...addends, ...(access?.address ?? [])]) if (!written.has(register)) carried.add(register);
      if (!guard) for (const register of writes) written.add(register);
    }
  }
  return carried;
}

/** Adds to `state` what is carried; whether that changed it. */
function merge(state: State, other: State, carried: ReadonlySet<string>): boolean {
  let changed = false;
  for (const [register, parameters] of other) {
    if (!carried.has(register)) continue;
    const before = state.get(register) ?? NONE;
    if ([...parameters].every((parameter) => before.has(parameter))) continue;
    state.set(register, union([before, parameters]));
    changed = true;
  }
  return changed;
}

export interface Followed extends Access {
  instruction: Instruction;
  block: number;
  pointers: ReadonlySet<string>;
}

/** All accesses to memory, with the pointers that they follow. */
export function accesses(kernel: Kernel, blocks: readonly Block[]): Followed[] {
  const order = reachable(blocks);
  const entry = new Map<number, State>(order.map((block) => [block, new Map()]));
  const run = (block: number, visit: (walk: Walk, instruction: Instruction) => void = () => {}) => {
    const walk = new Walk(new Map(entry.get(block)));
    for (let i = blocks[block]!.first; i < blocks[block]!.end; ++i) {
      visit(walk, kernel.instructions[i]!);
      walk.step(kernel.instructions[i]!);
    }
    return walk.state;
  };
  const carried = carriedBetween(kernel, blocks);
  const open = new Set(order);
  for (const block of open) {
    open.delete(block);
    const after = run(block);
    for (const next of blocks[block]!.next) if (merge(entry.get(next)!, after, carried)) open.add(next);
  }
  const found: Followed[] = [];
  for (const block of order) {
    run(block, (walk, instruction) => {
      const { access } = instruction;
      if (access) found.push({ ...access, instruction, block, pointers: walk.read(access.address, instruction.guard) });
    });
  }
  return found;
}
