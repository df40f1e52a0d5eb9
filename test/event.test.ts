/** Places in the order of a stream, that the host can wait for and take the time between. */

import { inspect } from 'node:util';
import { expect } from 'chai';
import { BatchNorm, Event, Graph, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError, expectRejection } from './helpers/failure';
import { secondDevice } from './helpers/second_device';

describe('events', () => {
  it('tell when the work before them is done, and how long it took', async () => {
    const stream = device.createStream();
    using layer = new BatchNorm(16, { device });
    using input = Tensor.zeros([64, 16, 10, 10], { device });
    const start = stream.record();
    layer.forward(input, { stream }).dispose();
    const end = stream.record();
    expect(await end.synchronize()).to.equal(undefined);
    expect(await end.elapsed(start)).to.be.greaterThan(0);
    expect(await start.elapsed(start)).to.equal(0);
  });

  it('print themselves, and are disposed by using', () => {
    const stream = device.createStream();
    let gone: Event;
    {
      using event = stream.record();
      gone = event;
      expect(event).to.include({ device, disposed: false });
      expect(inspect(event)).to.equal(`Event on ${device.name}`);
    }
    expect(gone.disposed).to.equal(true);
    expect(`${gone}`).to.include('disposed');
  });

  it('may be disposed, and their streams forgotten, while they are waited for', async () => {
    for (let i = 0; i < 20; ++i) {
      using layer = new BatchNorm(16, { device });
      using input = Tensor.zeros([64, 16, 5, 5], { device });
      const stream = device.createStream();
      layer.forward(input, { stream }).dispose();
      const event = stream.record();
      const waiting = event.synchronize();
      event.dispose();
      globalThis.gc?.();
      await waiting;
    }
  });

  it('refuse what is no event, and refuse to serve once disposed', async () => {
    const stream = device.createStream();
    const [event, gone] = [stream.record(), stream.record()];
    gone.dispose();
    await expectRejection(gone.synchronize(), 'ERR_DISPOSED');
    await expectRejection(gone.elapsed(event), 'ERR_DISPOSED');
    await expectRejection(event.elapsed(gone), 'ERR_DISPOSED', 'earlier');
    await expectRejection(event.elapsed(1 as never), 'ERR_INVALID_ARGUMENT', 'earlier');
    await expectRejection(event.elapsed(secondDevice().createStream().record()), 'ERR_DEVICE_MISMATCH', 'earlier');
  });

  it('and graphs are not constructed by hand', () => {
    for (const Class of [Event, Graph] as unknown as (new (
      ...args: unknown[]
    ) => unknown)[]) {
      expectError(() => new Class(), 'ERR_INVALID_ARGUMENT', 'construction');
    }
  });

  it('may be disposed while somebody waits for them', async () => {
    const stream = device.createStream();
    const time = () => {
      using before = stream.record();
      using after = stream.record();
      return after.elapsed(before);
    };
    expect(await time()).to.be.at.least(0);
    const event = stream.record();
    const done = event.synchronize();
    event.dispose();
    await done;
  });
});
