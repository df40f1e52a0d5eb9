/** What the examples do where there is a CUDA device. */

import { join } from 'node:path';
import { expect } from 'chai';
import { describeCuda } from '../helpers/cuda';
import { outputOf } from '../helpers/program';

describeCuda('examples/streams_and_graph.mjs', () => {
  it('does on streams and by a graph what single calls do, to the bit', () => {
    const output = outputOf(join('examples', 'streams_and_graph.mjs'), [], {});
    expect(output).to.match(/^device cuda:0: /);
    expect(output).to.include('two streams: the bits of one stream\n');
    for (const seed of [2, 3, 4]) expect(output).to.include(`graph, batch ${seed}: the bits of the calls it captured\n`);
  });
});
