// Machine code is read, and what is wrong with it found: on what compilers made of fixtures/mutants.cu, and on a few lines by hand.
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import type { Kernel } from './code';
import { findings } from './findings';
import { basicBlocks, loops } from './flow';
import { kernelName } from './kernel_name';
import { accesses } from './pointers';
import { readPtx } from './ptx';
import { readSass } from './sass';

const recorded = (file: string) => fs.readFileSync(path.join(__dirname, 'fixtures', file), 'utf8');

describe('names of kernels', () => {
  it('are read with what their templates were given', () => {
    expect(
      kernelName('_ZN14cuda_batchnorm4cuda16transformInOrderILNS0_14ActivationKindE1ENS_8BFloat16ELi8EEEvNS0_18TransformArgumentsE'),
    ).to.deep.equal({
      readable: 'transformInOrder<1, BFloat16, 8>',
      name: 'transformInOrder',
      elementBytes: 2,
      wide: true,
    });
    expect(kernelName('_ZN14cuda_batchnorm4cuda13forwardOfRunsIdLi1EEEvNS0_16ForwardArgumentsE')).to.include({
      elementBytes: 8,
      wide: false,
    });
    expect(kernelName('_ZN14cuda_batchnorm4cuda13forwardOfRunsIfLi2EEEvNS0_16ForwardArgumentsE').wide).to.equal(false);
    expect(kernelName('_ZN14cuda_batchnorm4cuda15convertElementsINS_7Float16ES2_EEvNS0_16ConvertArgumentsE').readable).to.equal(
      'convertElements<Float16, Float16>',
    );
    const variant = (width: number) =>
      `_ZN14cuda_batchnorm4cuda13forwardOfRunsIfNS0_7VariantILi${width}ELb1ELNS0_14ActivationKindE4EEEEEvv`;
    expect(kernelName(variant(4))).to.include({ readable: 'forwardOfRuns<float, Variant<4, 1, 4>>', name: 'forwardOfRuns', wide: true });
    expect(kernelName(variant(1)).wide).to.equal(false);
    expect(kernelName('_Z5plainv')).to.deep.equal({ readable: 'plain', name: 'plain', elementBytes: undefined, wide: false });
  });

  it('are refused where they are not understood', () => {
    expect(() => kernelName('_Z4someIPKfEvv')).to.throw('Expected a name at PKfEvv');
    expect(() => kernelName('main')).to.throw('mangled name of a kernel but received main');
  });
});

/** A kernel of so many instructions, of which some jump. */
function flowing(count: number, jumps: Readonly<Record<number, { to?: number; falls?: boolean; hidden?: boolean }>>): Kernel {
  return {
    mangled: '_Z1kv',
    architecture: 'none',
    labels: new Map(Array.from({ length: count }, (_, i) => [`${i}`, i])),
    instructions: Array.from({ length: count }, (_, i) => {
      const jump = jumps[i];
      const { to, falls = false, hidden = false } = jump ?? {};
      return {
        text: '',
        place: '',
        writes: [],
        addends: [],
        ...(jump && { jump: { targets: to === undefined ? [] : [`${to}`], falls, hidden } }),
      };
    }),
  };
}

/** First instructions of each loop's header and blocks. */
function loopsOf(kernel: Kernel): Record<number, number[]> {
  const blocks = basicBlocks(kernel);
  const first = (block: number) => blocks[block]!.first;
  return Object.fromEntries(loops(blocks).map(({ header, blocks: body }) => [first(header), [...body].map(first).sort((a, b) => a - b)]));
}

describe('loops', () => {
  it('are nested, and may lie apart', () => {
    const kernel = flowing(9, { 3: { to: 2, falls: true }, 4: { to: 1, falls: true }, 6: { to: 6, falls: true }, 8: {} });
    expect(loopsOf(kernel)).to.deep.equal({ 1: [1, 2, 4], 2: [2], 6: [6] });
  });

  it('hold what was moved out of their way', () => {
    const kernel = flowing(6, { 1: { to: 4, falls: true }, 2: { to: 1, falls: true }, 3: {}, 5: { to: 2 } });
    expect(loopsOf(kernel)).to.deep.equal({ 1: [1, 2, 4] });
  });

  it('hold the entries of tables that the text does not show, but not subroutines', () => {
    const kernel = flowing(8, { 1: { hidden: true }, 2: { to: 4 }, 3: { to: 4 }, 4: { to: 0, falls: true }, 5: {}, 7: {} });
    expect(loopsOf(kernel)).to.deep.equal({ 0: [0, 2, 3, 4] });
  });

  it('are none where nothing jumps back, or a jump back has no way to it', () => {
    expect(loopsOf(flowing(4, { 1: { to: 3, falls: true }, 3: {} }))).to.deep.equal({});
    expect(loopsOf(flowing(4, { 1: {}, 3: { to: 2 } }))).to.deep.equal({});
  });
});

const LINES = `
	code for sm_90
		Function : _Z1kv
        /*0000*/                   LDC.64 R2, c[0x0][0x210] ;
        /*0010*/                   ISETP.NE.AND P1, PT, R2, RZ, PT ;
        /*0020*/                   LEA R4, P0, R9, R2, 0x4 ;
        /*0030*/                   LEA.HI.X R5, R9, R3, RZ, 0x4, P0 ;
        /*0040*/              @!P1 IADD3 R6, P0, R8, c[0x0][0x218], RZ ;
        /*0050*/               @P1 IADD3 R6, P0, R8, c[0x0][0x220], RZ ;
        /*0060*/                   LDG.E.128.CONSTANT R12, desc[UR4][R4.64+0x10] ;
        /*0070*/               @P1 STG.E.U8 desc[UR4][R6.64], R12 ;
        /*0080*/                   STG.E.64 [R6.64], R12 &req={0} ?trans5;
        /*0090*/                   LDGSTS.E.BYPASS.128 [R20], desc[UR4][R4.64] ;
        /*00a0*/                   IMAD.WIDE R4, R2, 0x4, R20 ;
        /*00b0*/                   LDL R1, [R4] ;
        /*00c0*/                   EXIT ;
`;

describe('accesses in SASS', () => {
  const [kernel] = [...readSass(LINES)];
  const found = accesses(kernel!, basicBlocks(kernel!)).map(({ kind, space, bytes, pointers }) =>
    [kind, space, bytes, ...pointers].join(' '),
  );

  it('have a size, and the pointers that lead to them', () => {
    expect(found).to.deep.equal([
      'load global 16 param 0x210',
      'store global 1 param 0x220',
      'store global 8 param 0x220 param 0x218',
      'load global 16 param 0x210',
      'load local 4',
    ]);
  });
});

const LOOP_LEFT_BY_A_CALL = `
	code for sm_80
		Function : _Z1kv
        /*0000*/                   LDC.64 R2, c[0x0][0x160] ;
        /*0010*/                   LDG.E.128.CONSTANT R4, [R2.64] ;
        /*0020*/               @P0 CALL.REL.NOINC 0x40 ;
        /*0030*/                   BRA 0x10 ;
        /*0040*/                   STG.E.128 [R2.64], R4 ;
        /*0050*/                   EXIT ;
`;

describe('a call in SASS', () => {
  it('may be how a loop is left', () => {
    const [kernel] = [...readSass(LOOP_LEFT_BY_A_CALL)];
    const blocks = basicBlocks(kernel!);
    expect(accesses(kernel!, blocks).map(({ kind, pointers }) => [kind, ...pointers])).to.deep.equal([
      ['load', 'param 0x160'],
      ['store', 'param 0x160'],
    ]);
    expect(loopsOf(kernel!)).to.deep.equal({ 1: [1, 3] });
  });
});

describe('accesses in PTX', () => {
  const [right] = readPtx(recorded('mutants.ptx'));
  const found = accesses(right!, basicBlocks(right!)).filter(({ bytes }) => bytes === 16);

  it('have a size, the pointers that lead to them, and the line they come from', () => {
    expect(found.map(({ kind, pointers }) => [kind, ...pointers].join(' '))).to.have.members([
      'load param 0+0',
      'load param 0+8',
      'store param 0+16',
    ]);
    expect(found[0]?.instruction.place).to.match(/^mutants.cu:\d+$/);
  });

  it('copy to shared memory by 16 bytes', () => {
    const text =
      '.entry _Z1kv(\n.param .u64 k_param_0\n)\n{\nld.param.u64 %rd1, [k_param_0];\ncp.async.cg.shared.global [%r1], [%rd1], 16;\nret;\n}\n';
    const [copying] = readPtx(text);
    const [copy] = accesses(copying!, basicBlocks(copying!));
    expect(copy).to.include({ kind: 'load', space: 'global', bytes: 16 });
    expect([...copy!.pointers]).to.deep.equal(['param 0+0']);
  });
});

/** What is found in the recorded kernels, without what differs between the two languages. */
function found(kernels: Iterable<Kernel>): Record<string, string[]> {
  return Object.fromEntries(
    [...kernels].map((kernel) => [
      kernelName(kernel.mangled).name,
      findings(kernel).map((finding) => finding.replace(/^.*? on \w+: /, '').replace(/: .*/, '')),
    ]),
  );
}

const IN_BOTH = {
  transformRight: [],
  transformNarrow: [],
  transformInPieces: ['16-byte loads move 0 tensors, expected 2', '16-byte stores move 0 tensors, expected 1'],
  transformResidualInPieces: ['16-byte loads move 1 tensors, expected 2'],
  transformOutputInPieces: ['16-byte stores move 0 tensors, expected 1'],
  transformIndexed: ['local memory'],
};

describe('what is wrong with kernels', () => {
  it('is found in PTX, where registers are still without number', () => {
    expect(found(readPtx(recorded('mutants.ptx')))).to.deep.equal({
      ...IN_BOTH,
      transformSecondLoopInPieces: ['a tensor is moved in pieces', 'a tensor is moved in pieces'], // the input and the output
      transformSpilled: [],
    });
  });

  it('is found in SASS, where samples cannot be told from tensors that are read in pieces', () => {
    expect(found(readSass(recorded('mutants.sass')))).to.deep.equal({
      ...IN_BOTH,
      transformSecondLoopInPieces: ['a tensor is moved in pieces'], // the output
      transformSpilled: ['local memory'],
    });
  });

  it('is told with the kernel and the place', () => {
    const all = readPtx(recorded('mutants.ptx')).flatMap((kernel) => findings(kernel));
    expect(all.join('\n')).to.match(
      /transformSecondLoopInPieces<float, 4> on compute_90: a tensor is moved in pieces: ld.* at mutants.cu:\d+ < mutants.cu:\d+/,
    );
  });
});
