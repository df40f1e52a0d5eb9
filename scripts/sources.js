// The C++ sources of the project, for the tools that want a list of files.
const fs = require('node:fs');
const path = require('node:path');

const root = path.dirname(__dirname);

/** Paths below the folders, relative to the project's root, of the files with one of the extensions. */
function sources(folders, extensions) {
  return folders
    .filter((folder) => fs.existsSync(path.join(root, folder)))
    .flatMap((folder) => fs.readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)))
    .filter((file) => extensions.includes(path.extname(file)))
    .sort();
}

module.exports = { root, sources };
