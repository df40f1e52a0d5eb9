/** What the GPU benchmark measures: the networks' sizes, and the order of the work. */

import { expect } from 'chai';
import { type Layers, type Network, OTHER_NETWORKS, RESNET50, totalCount } from '../../bench/gpu/networks';
import { parseOptions } from '../../bench/gpu/options';
import { layersOf, planOf, type Work, workName } from '../../bench/gpu/plan';
import { fewestBytes, type GpuProblem, problemsOf } from '../../bench/gpu/problem';
import { withShared } from '../helpers/shared';

interface Listed {
  shape_nc_spatial: number[];
  values_per_channel: number;
  repeats_in_network: number;
}

/** How often each size occurs, batch left out. */
function sizes(layers: Iterable<readonly [size: string, count: number]>): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [size, count] of layers) found[size] = (found[size] ?? 0) + count;
  return found;
}

const sizesOf = ({ layers }: Network, spatial: (one: Layers) => readonly number[] = (one) => one.spatial) =>
  sizes(layers.map((one) => [`${one.channels}@${spatial(one).join('x')}`, totalCount(one)] as const));

const network = (name: string): Network => OTHER_NETWORKS.find((one) => one.name === name)!;

const plan = (...args: string[]): Work[] => planOf(parseOptions(args));

describe("GPU benchmark's networks", () => {
  it("count ResNet-50's batch norms, and what follows each", () => {
    const counts = (fused: 'none' | 'relu' | 'add+relu') => RESNET50.layers.reduce((sum, { count }) => sum + (count[fused] ?? 0), 0);
    expect([counts('none'), counts('relu'), counts('add+relu')]).to.deep.equal([4, 33, 16]);
    expect(RESNET50.layers).to.have.length(12);
    expect(RESNET50.layers).to.deep.include({ channels: 256, spatial: [56, 56], count: { 'add+relu': 3, none: 1 } });
    expect(sizesOf(RESNET50)).to.include({ '64@112x112': 1, '64@56x56': 6, '128@56x56': 1, '128@28x28': 7, '256@14x14': 11, '512@7x7': 5 });
  });

  it("count MobileNetV2's, of as many channels as the network has", () => {
    const found = sizesOf(network('mobilenetv2'));
    expect(Object.values(found).reduce((a, b) => a + b)).to.equal(52);
    expect(found).to.include({
      '32@112x112': 2,
      '96@112x112': 1,
      '96@56x56': 1,
      '144@56x56': 3,
      '144@28x28': 1,
      '960@7x7': 6,
      '1280@7x7': 1,
    });
  });

  it('are run as steps of all their batch norms', () => {
    const fused = layersOf(RESNET50, 32, 'fused');
    expect(fused).to.have.length(53);
    expect(fused[0]).to.deep.equal({ shape: [32, 64, 112, 112], fused: 'relu' });
    expect(layersOf(RESNET50, 32, 'plain').filter((one) => one.fused === 'none')).to.have.length(53);
  });

  withShared<{ shapes: Record<string, { active: Listed[] }> }>('shapes/bnorm_shapes.json', ({ shapes }) => {
    const listed = (name: string) =>
      shapes[name]!.active.map(
        ({ shape_nc_spatial: [, c, ...spatial], repeats_in_network: count }) => [`${c}@${spatial.join('x')}`, count] as const,
      );

    it("are oneDNN's DenseNet-121", () => {
      expect(sizesOf(network('densenet121'))).to.deep.equal(sizes(listed('shapes_densenet_121')));
    });

    it("are oneDNN's ResNet-50, but for the stride, which it has one convolution earlier", () => {
      const strided = ['128@56,56', '256@28,28', '512@14,14'];
      const isStrided = ({ channels, spatial }: Layers) => strided.includes(`${channels}@${spatial}`);
      const earlier = (one: Layers) => (isStrided(one) ? one.spatial.map((size) => size / 2) : one.spatial);
      expect(RESNET50.layers.filter(isStrided).map(totalCount)).to.deep.equal([1, 1, 1]);
      expect(sizesOf(RESNET50, earlier)).to.deep.equal(sizes(listed('shapes_resnet_50')));
    });

    for (const name of ['1d', '3d']) {
      it(`are oneDNN's shapes_${name}, as far as they can be trained with`, () => {
        const ours = network(name).layers.map(({ batch, channels, spatial }) => [batch, channels, ...spatial]);
        const theirs = shapes[`shapes_${name}`]!.active.filter((one) => one.values_per_channel > 1).map((one) => one.shape_nc_spatial);
        expect(ours).to.deep.equal(theirs);
      });
    }
  });
});

describe("GPU benchmark's plan", () => {
  const kindOf = (work: Work) => (work.kind === 'problem' ? `${work.problem.network} ${work.problem.dtype} ${work.fused}` : work.kind);
  const stages = (works: readonly Work[]) => works.map(kindOf).filter((kind, index, all) => kind !== all[index - 1]);

  it('does first what matters most', () => {
    expect(stages(plan('--networks', 'resnet50,mobilenetv2'))).to.deep.equal([
      'resnet50 float32 none',
      'resnet50 bfloat16 none',
      'step',
      'calls',
      'resnet50 float32 relu,add+relu',
      'resnet50 bfloat16 relu,add+relu',
      'resnet50 float16 none,relu,add+relu',
      'step',
      'mobilenetv2 float32 none,relu',
      'mobilenetv2 bfloat16 none,relu',
      'mobilenetv2 float16 none,relu',
    ]);
  });

  it('has every shape of the first network with all that can be fused, in both layouts, batches and all types', () => {
    const cases = plan().flatMap((work) =>
      work.kind === 'problem' && work.problem.network === 'resnet50'
        ? work.fused.map((fused) => `${workName({ ...work, fused: [fused] })}`)
        : [],
    );
    expect(new Set(cases).size).to.equal(12 * 2 * 2 * 3 * 3);
    expect(cases).to.have.length(12 * 2 * 2 * 3 * 3);
  });

  it('is narrowed by the options', () => {
    const works = plan('--networks', '1d', '--dtypes', 'float16', '--layouts', 'last', '--fused', 'relu', '--batches', '8');
    const problems = works.flatMap((work) => (work.kind === 'problem' ? workName(work) : []));
    expect(problems).to.deep.equal([
      '1d [32,128,10] channels last float16, relu',
      '1d [32,27,7] channels last float16, relu',
      '1d [1,32,30] channels last float16, relu',
    ]); // the one without positions is the same in both layouts
  });

  it('begins with the shapes that move most in the network', () => {
    expect(problemsOf(RESNET50, 32, 'channels first', 'float32')[0]!.shape).to.deep.equal([32, 256, 56, 56]);
  });

  it('knows the bytes: two tensors forward, three backward, one more with a residual, and a bit for each element of it', () => {
    const problem: GpuProblem = { network: 'resnet50', shape: [32, 64, 56, 56], layout: 'channels first', dtype: 'float16' };
    const count = 32 * 64 * 56 * 56;
    expect(fewestBytes(problem, 'trainingForward', 'none')).to.equal(2 * count * 2);
    expect(fewestBytes({ ...problem, dtype: 'float32' }, 'backward', 'relu')).to.equal(3 * count * 4);
    expect(fewestBytes(problem, 'inference', 'add+relu')).to.equal(3 * count * 2);
    expect(fewestBytes(problem, 'trainingForward', 'add+relu')).to.equal(3 * count * 2 + count / 8);
    expect(fewestBytes(problem, 'backward', 'add+relu')).to.equal(4 * count * 2 + count / 8);
  });
});
