/** An organization: its names and its members. */
import { ApiError, del, get, patch, post, put, segment } from "../api.js";
import { navigate } from "../navigation.js";
import { withQuery } from "../paths.js";
import { html, useState } from "../preact.js";
import { check, nameOf, useSession } from "../session.js";
import {
  Avatar,
  Button,
  Checkbox,
  Confirm,
  Dialog,
  Empty,
  Loaded,
  Page,
  Pager,
  Section,
  Submit,
  TextField,
  focusHeading,
  rangeText,
  roleNames,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

const PAGE = 25;

export default function Organization({ params, query }) {
  const path = `/organizations/${segment(params.name)}`;
  const page = useLoad(
    async (signal) => {
      const organization = await get(path, { signal });
      const permission = (resource_type, action) => ({
        object: { resource_type, organization_id: organization.id },
        action,
      });
      const may = await check({
        update: permission("organization", "update"),
        delete: permission("organization", "delete"),
        readMembers: permission("organization_member", "read"),
        addMembers: permission("organization_member", "create"),
        removeMembers: permission("organization_member", "delete"),
        assignRoles: permission("assign_org_role", "assign"),
      });
      return { organization, may };
    },
    [path],
  );
  const title = page.data
    ? page.data.organization.display_name || page.data.organization.name
    : "Organization";
  return html`<${Page} title=${title} lead=${page.data?.organization.description}>
    <p><a href="/organizations">All organizations</a></p>
    <${Loaded} from=${page}>${({ organization, may }) => html`
      ${
        may.readMembers
          ? html`<${Members} organization=${organization} path=${path} may=${may}
        offset=${Number(query.get("offset")) || 0} />`
          : html`<p class="help">Only administrators can see the members.</p>`
      }
      ${may.update && html`<${Settings} organization=${organization} path=${path}
        onSaved=${(saved) => page.setData({ organization: saved, may })} />`}
      ${may.delete && !organization.is_default && html`<${Delete} organization=${organization} path=${path} />`}
    `}<//>
  <//>`;
}

function Settings({ organization, path, onSaved }) {
  const { name, display_name, description } = organization;
  const form = useForm(
    { name, display_name, description },
    async (values) => {
      const saved = await patch(path, values);
      toast("Organization saved.");
      onSaved(saved);
      navigate(`/organizations/${segment(saved.name)}`, { replace: true });
    },
    { required: { name: "Enter a name." } },
  );
  return html`<${Section} title="Settings">
    <form ...${form.props}>
      <${TextField} label="Name" readonly=${organization.is_default}
        help=${organization.is_default ? "The default organization cannot be renamed." : undefined}
        autocomplete="off" ...${form.bind("name")} />
      <${TextField} label="Display name" optional autocomplete="off" ...${form.bind("display_name")} />
      <${TextField} label="Description" optional autocomplete="off" ...${form.bind("description")} />
      <${Submit} form=${form}>Save organization<//>
    </form>
  <//>`;
}

function Delete({ organization, path }) {
  const [isConfirming, setIsConfirming] = useState(false);
  const remove = async () => {
    await del(path);
    toast(`${organization.name} was deleted.`);
    navigate("/organizations");
  };
  return html`<${Section} title="Delete organization" danger>
    <div class="row"><p class="help">Members keep their accounts.</p>
      <${Button} kind="danger" onClick=${() => setIsConfirming(true)}>Delete organization<//></div>
    ${isConfirming && html`<${Confirm} title="Delete ${organization.name}?" action="Delete organization"
      typed=${organization.name} onConfirm=${remove} onClose=${() => setIsConfirming(false)} />`}
  <//>`;
}

function Members({ organization, path, may, offset }) {
  const { me } = useSession();
  const members = useLoad(
    (signal) => get(withQuery(`${path}/paginated-members`, { limit: PAGE, offset }), { signal }),
    [path, offset],
  );
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const goTo = (to) =>
    navigate(
      withQuery(`/organizations/${segment(organization.name)}`, { offset: to > 0 ? to : "" }),
    );
  const remove = async (member) => {
    await del(`${path}/members/${segment(member.user_id)}`);
    close();
    members.reload();
    focusHeading();
    toast(`${member.username} was removed.`);
  };
  return html`<${Section} title="Members">
    ${may.addMembers && may.assignRoles && html`<${Add} path=${path} onAdded=${members.reload} />`}
    <${Loaded} from=${members}>${({ members: list, count }) => html`
      ${
        list.length === 0
          ? html`<${Empty} icon="people" title="No members yet"><p>Users that you add appear here.</p><//>`
          : html`<${Table} members=${list} me=${me} may=${may} onDialog=${setDialog} />`
      }
      <${Pager} label="Member pages"
        text=${rangeText(offset, list.length, count)}
        onBack=${offset > 0 ? () => goTo(offset - PAGE) : undefined}
        onForward=${offset + list.length < count ? () => goTo(offset + PAGE) : undefined} />
    `}<//>
    ${
      dialog?.kind === "remove" &&
      html`<${Confirm} title="Remove ${dialog.member.username}?" action="Remove member"
        onConfirm=${() => remove(dialog.member)} onClose=${close}>
      <p>They also lose their roles in ${organization.display_name || organization.name}.</p><//>`
    }
    ${
      dialog?.kind === "roles" &&
      html`<${Roles} member=${dialog.member} path=${path} onClose=${close} onSaved=${() => {
        close();
        members.reload();
      }} />`
    }
  <//>`;
}

function Add({ path, onAdded }) {
  const form = useForm(
    { username: "" },
    async ({ username }) => {
      try {
        await post(`${path}/members/${segment(username.trim())}`);
      } catch (error) {
        throw new ApiError(error.status, error.message, error.detail, { username: error.message });
      }
      form.set("username", "");
      onAdded();
      toast(`${username.trim()} was added.`);
    },
    { required: { username: "Enter a username." } },
  );
  return html`<form class="in-line" ...${form.props}>
    <${TextField} label="Username" autocomplete="off" autocapitalize="none"
      spellcheck=${false} ...${form.bind("username")} />
    <${Submit} form=${form} kind="">Add member<//>
  </form>`;
}

function Table({ members, me, may, onDialog }) {
  return html`<table>
    <thead><tr><th scope="col">User</th><th scope="col">Roles</th><th><span
      class="hidden">Actions</span></th></tr></thead>
    <tbody>${members.map((member) => html`<tr key=${member.user_id}>
      <th scope="row"><span class="user"><${Avatar} user=${member} /><span>
        <a class="row-link" href="/users/${member.user_id}">${nameOf(member)}</a><span
          class="help">${member.email}</span></span></span></th>
      <td data-label="Roles">${roleNames(member.roles)}</td>
      <td class="row-actions">
        ${may.assignRoles && member.user_id !== me.id && html`<${Button}
          onClick=${() => onDialog({ kind: "roles", member })} aria-label="Edit roles of ${member.username}">Edit roles<//>`}
        ${may.removeMembers && member.user_id !== me.id && html`<${Button} kind="danger-quiet"
          onClick=${() => onDialog({ kind: "remove", member })} aria-label="Remove ${member.username}">Remove<//>`}
      </td>
    </tr>`,
    )}</tbody>
  </table>`;
}

function Roles({ member, path, onClose, onSaved }) {
  const roles = useLoad((signal) => get(`${path}/members/roles`, { signal }));
  return html`<${Dialog} title="Roles of ${member.username}" onClose=${onClose}>
    <${Loaded} from=${roles}>${(list) => html`<${RoleForm} member=${member} roles=${list} path=${path}
      onClose=${onClose} onSaved=${onSaved} />`}<//>
  <//>`;
}

function RoleForm({ member, roles, path, onClose, onSaved }) {
  const form = useForm({ roles: member.roles.map((role) => role.name) }, async (values) => {
    await put(`${path}/members/${segment(member.user_id)}/roles`, values);
    toast("Roles saved.");
    onSaved();
  });
  return html`<form ...${form.props}>
    ${roles.map((role) => html`<${Checkbox} key=${role.name}
      label=${role.display_name || role.name} disabled=${!role.assignable}
      checked=${form.values.roles.includes(role.name)}
      onChange=${(isOn) => form.toggle("roles", role.name, isOn)} />`,
    )}
    <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Save roles<//>
  </form>`;
}
