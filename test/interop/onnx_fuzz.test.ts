import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNormError } from '../../lib/index';
import { encodeOnnx, readBatchNorms, updateBatchNorms } from '../../lib/interop/onnx';
import { entry } from './layers';
import { batchNormNode, FOUR, float, initializer, integer, modelBytes } from './onnx_models';

const UPDATE = { running_mean: entry([1, 2]), running_var: entry([3, 4]) };
const MODELS = [
  modelBytes({ node: [batchNormNode({ attribute: [float('epsilon', 0.5), float('momentum', 0.9), integer('training_mode', 0)] })] }),
  modelBytes({
    node: [
      { opType: 'Constant', output: ['s'], attribute: [{ name: 'value', type: 4, t: initializer('', [5, 6]) }] },
      { opType: 'Identity', input: ['w'], output: ['b'] },
      {
        opType: 'If',
        input: ['c'],
        output: ['d'],
        attribute: [{ name: 'then_branch', type: 5, g: { node: [batchNormNode({ output: ['z'] })] } }],
      },
      batchNormNode(),
    ],
    initializer: [{ name: 'w', dims: [2n], dataType: 10, int32Data: [1, 2] }, ...FOUR.slice(2)],
  }),
  modelBytes({ initializer: FOUR.map((tensor) => ({ ...tensor, dataLocation: 1, externalData: [{ key: 'location', value: 'data' }] })) }),
];

/** Bytes of a model some of which were changed, taken out or put in. */
const mutated = fc
  .tuple(
    fc.constantFrom(...MODELS),
    fc.array(
      fc.tuple(
        fc.nat(2000),
        fc.constantFrom('set', 'flip', 'flip', 'flip', 'flip', 'delete', 'insert', 'cut'),
        fc.integer({ min: 0, max: 255 }),
      ),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
  )
  .map(([model, changes]) => {
    const bytes = [...model];
    for (const [position, kind, value] of changes) {
      const at = position % Math.max(bytes.length, 1);
      if (kind === 'set') bytes[at] = value;
      else if (kind === 'flip') bytes[at]! ^= 1 << (value & 7);
      else if (kind === 'delete') bytes.splice(at, 1 + (value & 7));
      else if (kind === 'insert') bytes.splice(at, 0, value);
      else if (value < 16) bytes.length = at;
    }
    return Uint8Array.from(bytes);
  });

/** Whether it was done; what is not refused in words goes on. */
async function outcomeOf(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (!(error instanceof BatchNormError)) throw error;
    expect(error.code).to.be.oneOf(['ERR_INVALID_ARGUMENT', 'ERR_SHAPE', 'ERR_DTYPE']);
    expect(error.message).to.match(/^Expected /);
    expect(error.message.length).to.be.lessThan(1000);
    return false;
  }
}

describe('whatever bytes an ONNX model has', function () {
  this.timeout(60_000);

  it('is read or refused, and what is read makes layers', async () => {
    const outcomes = { done: 0, refused: 0 };
    const read = async (bytes: Uint8Array) => {
      for (const found of await readBatchNorms(bytes)) {
        for (const { data, shape } of Object.values(found.state))
          expect(shape).to.deep.equal([data.length]).and.deep.equal([found.numFeatures]);
        found.toBatchNorm({ device: 'cpu' }).dispose();
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: mutated }, fc.uint8Array({ maxLength: 200 })), async (bytes) => {
        outcomes[(await outcomeOf(() => read(bytes))) ? 'done' : 'refused'] += 1;
      }),
      { numRuns: 2500 },
    );
    expect(Math.min(outcomes.done, outcomes.refused), JSON.stringify(outcomes)).to.be.greaterThan(250);
  });

  it('takes other parameters or is refused, and what comes out can be read if it could before', async () => {
    let done = 0;
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        let after: Uint8Array | undefined;
        if (!(await outcomeOf(async () => (after = await updateBatchNorms(bytes, new Map([['norm', UPDATE]])))))) return;
        const wasRead = await outcomeOf(() => readBatchNorms(bytes));
        const isRead = await outcomeOf(async () => {
          const found = (await readBatchNorms(after!)).find(({ name }) => name === 'norm');
          expect([...found!.state.running_var.data]).to.deep.equal([3, 4]);
        });
        if (wasRead) expect(isRead, 'what could be read before is refused now').to.equal(true);
        if (isRead) done += 1;
      }),
      { numRuns: 1000 },
    );
    expect(done).to.be.greaterThan(100);
  });

  it('is what a state gives, or the state is refused', async () => {
    const anything = fc.oneof(fc.constant(entry([1, 2])), fc.anything());
    const state = fc.record({ running_mean: anything, running_var: anything, weight: anything, bias: anything }, { requiredKeys: [] });
    const options = fc.oneof(
      fc.constant({ rank: 2 }),
      fc.record(
        {
          shape: fc.anything(),
          rank: fc.anything(),
          axis: fc.anything(),
          opset: fc.anything(),
          name: fc.anything(),
          eps: fc.double(),
          momentum: fc.double(),
        },
        { requiredKeys: [] },
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: state }, fc.anything()), options, async (state, options) => {
        await outcomeOf(async () => readBatchNorms(await encodeOnnx(state as never, options as never)));
      }),
      { numRuns: 800 },
    );
  });
});
