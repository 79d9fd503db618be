/** The organizations that the user may see. */
import { get, post, segment } from "../api.js";
import { navigate } from "../navigation.js";
import { html, useState } from "../preact.js";
import { useSession } from "../session.js";
import {
  Badge,
  Button,
  Dialog,
  Empty,
  Loaded,
  Page,
  Submit,
  TextField,
  Time,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function Organizations() {
  const { may } = useSession();
  const organizations = useLoad((signal) => get("/organizations", { signal }));
  const [isCreating, setIsCreating] = useState(false);
  const actions =
    may.organizationCreate &&
    html`<${Button} kind="primary" icon="plus" onClick=${() => setIsCreating(true)}>New organization<//>`;
  return html`<${Page} title="Organizations" actions=${actions}>
    <${Loaded} from=${organizations}>${(list) => html`<${Table} organizations=${list} />`}<//>
    ${isCreating && html`<${Create} onClose=${() => setIsCreating(false)} />`}
  <//>`;
}

function Table({ organizations }) {
  if (organizations.length === 0) {
    return html`<${Empty} icon="organization" title="No organizations yet">
      <p>Organizations that you belong to appear here.</p>
    <//>`;
  }
  return html`<table class="card">
    <thead><tr><th scope="col">Organization</th><th scope="col">Description</th><th
      scope="col">Created</th></tr></thead>
    <tbody>${organizations.map((organization) => html`<tr key=${organization.id}>
      <th scope="row"><a class="row-link"
        href="/organizations/${segment(organization.name)}">${organization.display_name || organization.name}</a>
        ${organization.is_default && html` <${Badge}>default<//>`}</th>
      <td data-label="Description">${organization.description || "–"}</td>
      <td data-label="Created"><${Time} at=${organization.created_at} /></td>
    </tr>`,
    )}</tbody>
  </table>`;
}

function Create({ onClose }) {
  const form = useForm(
    { name: "", display_name: "", description: "" },
    async (values) => {
      const created = await post("/organizations", values);
      toast(`${created.display_name || created.name} was created.`);
      navigate(`/organizations/${segment(created.name)}`);
    },
    { required: { name: "Enter a name." } },
  );
  return html`<${Dialog} title="New organization" onClose=${onClose}>
    <form ...${form.props}>
      <${TextField} label="Name" help="Letters, digits and single hyphens; used in URLs." autofocus
        autocomplete="off" ...${form.bind("name")} />
      <${TextField} label="Display name" optional autocomplete="off" ...${form.bind("display_name")} />
      <${TextField} label="Description" optional autocomplete="off" ...${form.bind("description")} />
      <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Create organization<//>
    </form>
  <//>`;
}
