/** A path that no page has. */
import { html } from "../preact.js";
import { Page } from "../ui.js";

export default function NotFound() {
  return html`<${Page} title="There is no such page"
    lead="The address may be mistyped, or from a program that has more pages than Usher.">
    <p><a href="/">Go to the start</a></p>
  <//>`;
}
