/** Draws the plots of the guides anew: npm run plots */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { guidePlots } from './guides';

const FOLDER = join(__dirname, '../../guides/plots');

mkdirSync(FOLDER, { recursive: true });
for (const [name, svg] of Object.entries(guidePlots())) {
  writeFileSync(join(FOLDER, name), svg);
  console.log(`Written: guides/plots/${name}`);
}
