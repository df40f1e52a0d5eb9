/** The batch norms of known networks: their sizes, how many of each there are, and what follows them. */

/** What follows a batch norm and can be part of it. */
export type Fused = 'none' | 'relu' | 'add+relu';
export const FUSED: readonly Fused[] = ['none', 'relu', 'add+relu'];

/** Batch norms of one size in a network. */
export interface Layers {
  channels: number;
  /** [H, W] of a picture, [L] or [D, H, W]. */
  spatial: readonly number[];
  /** Of lists that name it; elsewhere the batch is free. */
  batch?: number;
  /** How many there are, by what the network lets follow. */
  count: Partial<Record<Fused, number>>;
}

export interface Network {
  name: string;
  /** Where the sizes are from. */
  source: string;
  layers: readonly Layers[];
}

/** How many batch norms of this size the network has. */
export const totalCount = ({ count }: Layers): number => Object.values(count).reduce((sum, value) => sum + value, 0);

type One = [channels: number, size: number, fused: Fused];

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Batch norms of square pictures, in the order of the network, counted by size. */
function count(all: readonly One[]): Layers[] {
  const bySize = new Map<string, Layers>();
  for (const [channels, size, fused] of all) {
    const key = `${channels}@${size}`;
    const layers = bySize.get(key) ?? { channels, spatial: [size, size], count: {} };
    layers.count[fused] = (layers.count[fused] ?? 0) + 1;
    bySize.set(key, layers);
  }
  return [...bySize.values()];
}

/** Each block: 1×1, 3×3 (with the stride), 1×1 to four times the width, then the shortcut is added; the first has a batch norm in its shortcut. */
function resnet50(): One[] {
  const stages = [
    [64, 56, 56, 3],
    [128, 56, 28, 4],
    [256, 28, 14, 6],
    [512, 14, 7, 3],
  ] as const;
  return [
    [64, 112, 'relu'],
    ...stages.flatMap(([width, sizeBefore, size, blocks]) =>
      range(blocks).flatMap((block): One[] => [
        [width, block === 0 ? sizeBefore : size, 'relu'],
        [width, size, 'relu'],
        [4 * width, size, 'add+relu'],
        ...(block === 0 ? [[4 * width, size, 'none'] as One] : []),
      ]),
    ),
  ];
}

/** Each block: 1×1 to `expansion` times the channels (not where that is once), depthwise 3×3 with the stride, 1×1 without activation. */
function mobilenetV2(): One[] {
  const stages = [
    [1, 16, 1, 112, 112],
    [6, 24, 2, 112, 56],
    [6, 32, 3, 56, 28],
    [6, 64, 4, 28, 14],
    [6, 96, 3, 14, 14],
    [6, 160, 3, 14, 7],
    [6, 320, 1, 7, 7],
  ] as const;
  let before = 32;
  const blocks = stages.flatMap(([expansion, channels, repeats, sizeBefore, size]) =>
    range(repeats).flatMap((block): One[] => {
      const hidden = expansion * before;
      before = channels;
      return [
        ...(expansion === 1 ? [] : [[hidden, block === 0 ? sizeBefore : size, 'relu'] as One]),
        [hidden, size, 'relu'],
        [channels, size, 'none'],
      ];
    }),
  );
  return [[32, 112, 'relu'], ...blocks, [1280, 7, 'relu']];
}

/** Each layer of a block: a batch norm of all channels so far, and one of the 128 that it makes the 32 new ones of. */
function densenet121(): One[] {
  const blocks = [
    [6, 57],
    [12, 29],
    [24, 15],
    [16, 8],
  ] as const;
  let channels = 64;
  const ones: One[] = [[64, 112, 'relu']];
  for (const [layers, size] of blocks) {
    for (const layer of range(layers)) ones.push([channels + 32 * layer, size, 'relu'], [128, size, 'relu']);
    channels += 32 * layers;
    ones.push([channels, size, 'relu']);
    channels /= 2;
  }
  return ones;
}

const listed = (batch: number, channels: number, ...spatial: number[]): Layers => ({ batch, channels, spatial, count: { none: 1 } });

export const RESNET50: Network = {
  name: 'resnet50',
  source:
    'ResNet-50 (He et al., arXiv:1512.03385) for pictures of 224×224, with the stride in the 3×3 convolutions, as torchvision has it; oneDNN has it in the 1×1',
  layers: count(resnet50()),
};

export const OTHER_NETWORKS: readonly Network[] = [
  {
    name: 'mobilenetv2',
    source: 'MobileNetV2 (Sandler et al., arXiv:1801.04381) for pictures of 224×224; ReLU stands for its ReLU6',
    layers: count(mobilenetV2()),
  },
  {
    name: '1d',
    source: "oneDNN's shapes_1d, without the one that has a single value per channel",
    layers: [listed(1, 32, 30), listed(32, 128, 10), listed(32, 27, 7), listed(9, 128, 1)],
  },
  {
    name: '3d',
    source: "oneDNN's shapes_3d",
    layers: [listed(1, 16, 40, 40, 40), listed(32, 128, 12, 10, 8)],
  },
  {
    name: 'densenet121',
    source: 'DenseNet-121 (Huang et al., arXiv:1608.06993) as oneDNN lists it: for pictures of 224×224, halves rounded up',
    layers: count(densenet121()),
  },
];

/** To rehearse with: some hundred values, with whole vectors and with odd ends. */
export const TINY_NETWORK: Network = {
  name: 'tiny',
  source: 'made up',
  layers: [
    { channels: 4, spatial: [6, 6], count: { none: 1, relu: 2 } },
    { channels: 3, spatial: [5, 5], count: { 'add+relu': 1 } },
  ],
};
export const TINY_LIST: Network = { name: 'tiny list', source: 'made up', layers: [listed(2, 3, 5), listed(2, 4, 3, 2, 2)] };
