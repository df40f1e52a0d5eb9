// Runs TypeScript as the package's compiler writes it: node --require ./scripts/typescript.cjs FILE.ts
// tsx, which runs the tests, lets each call from module to module pass a getter: benchmarks of short calls would measure that too, which
// those who use the package never meet.
const { readFileSync } = require('node:fs');
const path = require('node:path');
const ts = require('typescript');

const file = path.join(path.dirname(__dirname), 'tsconfig.json');
const { options } = ts.convertCompilerOptionsFromJson(ts.readConfigFile(file, ts.sys.readFile).config.compilerOptions, path.dirname(file));
const compilerOptions = { ...options, module: ts.ModuleKind.CommonJS, inlineSourceMap: true };

require.extensions['.ts'] = (module, fileName) => {
  const { outputText } = ts.transpileModule(readFileSync(fileName, 'utf8'), { compilerOptions, fileName });
  module._compile(outputText, fileName);
};
