/** The page for unknown paths. */
import { html } from "../preact.js";
import { Page } from "../ui.js";

export default function NotFound() {
  return html`<${Page} title="Page not found"
    lead="Check the URL. It may belong to an app that has other pages than Usher.">
    <p><a href="/">Go to the home page</a></p>
  <//>`;
}
