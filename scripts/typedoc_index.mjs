// A plugin of TypeDoc, which links to its first page by the name of the folder. Opened as files, and not by a server, pages need the file's name.
import { PageEvent } from 'typedoc';

export function load(app) {
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = page.contents.replaceAll(/href="((?:\.\.?\/)+)(#[^"]*)?"/g, 'href="$1index.html$2"');
  });
}
