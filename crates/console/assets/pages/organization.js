/** One organization: what it is called, and who is in it. */
import { ApiError, del, get, patch, post, put, segment } from "../api.js";
import { withQuery } from "../paths.js";
import { html, useState } from "../preact.js";
import { navigate } from "../router.js";
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
  number,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

const PAGE = 25;

export default function Organization({ params, query }) {
  const path = `/organizations/${segment(params.name)}`;
  const known = useLoad(
    async (signal) => {
      const organization = await get(path, { signal });
      const of = (resource_type, action) => ({
        object: { resource_type, organization_id: organization.id },
        action,
      });
      const may = await check({
        update: of("organization", "update"),
        delete: of("organization", "delete"),
        readMembers: of("organization_member", "read"),
        addMembers: of("organization_member", "create"),
        removeMembers: of("organization_member", "delete"),
        assignRoles: of("assign_org_role", "assign"),
      });
      return { organization, may };
    },
    [path],
  );
  const title = known.data
    ? known.data.organization.display_name || known.data.organization.name
    : "Organization";
  return html`<${Page} title=${title} lead=${known.data?.organization.description}>
    <p><a href="/organizations">All organizations</a></p>
    <${Loaded} from=${known}>${({ organization, may }) => html`
      ${
        may.readMembers
          ? html`<${Members} organization=${organization} path=${path} may=${may}
        offset=${Number(query.get("offset")) || 0} />`
          : html`<p class="help">Only administrators see the members.</p>`
      }
      ${may.update && html`<${Names} organization=${organization} path=${path}
        onSaved=${(saved) => known.setData({ organization: saved, may })} />`}
      ${may.delete && !organization.is_default && html`<${Delete} organization=${organization} path=${path} />`}
    `}<//>
  <//>`;
}

function Names({ organization, path, onSaved }) {
  const { name, display_name, description } = organization;
  const form = useForm({ name, display_name, description }, async (values) => {
    const saved = await patch(path, values);
    toast("The organization is saved.");
    onSaved(saved);
    navigate(`/organizations/${segment(saved.name)}`, { replace: true });
  });
  return html`<${Section} title="Names">
    <form ...${form.props}>
      <${TextField} label="Name" readonly=${organization.is_default}
        help=${organization.is_default ? "The default organization keeps its name." : undefined}
        autocomplete="off" ...${form.bind("name")} />
      <${TextField} label="Display name" optional autocomplete="off" ...${form.bind("display_name")} />
      <${TextField} label="Description" optional autocomplete="off" ...${form.bind("description")} />
      <${Submit} form=${form}>Save<//>
    </form>
  <//>`;
}

function Delete({ organization, path }) {
  const [isAsking, setIsAsking] = useState(false);
  const remove = async () => {
    await del(path);
    toast(`${organization.name} is deleted.`);
    navigate("/organizations");
  };
  return html`<${Section} title="Delete" danger>
    <div class="row"><p class="help">Its members stay people of this deployment.</p>
      <${Button} kind="danger" onClick=${() => setIsAsking(true)}>Delete the organization<//></div>
    ${isAsking && html`<${Confirm} title="Delete ${organization.name}?" action="Delete"
      typed=${organization.name} onConfirm=${remove} onClose=${() => setIsAsking(false)} />`}
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
  const go = (to) =>
    navigate(
      withQuery(`/organizations/${segment(organization.name)}`, { offset: to > 0 ? to : "" }),
    );
  const remove = async (member) => {
    await del(`${path}/members/${segment(member.user_id)}`);
    close();
    members.reload();
    focusHeading();
    toast(`${member.username} is no member any more.`);
  };
  return html`<${Section} title="Members">
    ${may.addMembers && may.assignRoles && html`<${Add} path=${path} onAdded=${members.reload} />`}
    <${Loaded} from=${members}>${({ members: list, count }) => html`
      ${list.length === 0 ? html`<${Empty} icon="people" title="There are no members" />` : html`<${Table}
        members=${list} me=${me} may=${may} onDialog=${setDialog} />`}
      <${Pager} label="Pages of members"
        text=${list.length ? `${number(offset + 1)}–${number(offset + list.length)} of ${number(count)}` : ""}
        onBack=${offset > 0 ? () => go(offset - PAGE) : undefined}
        onForward=${offset + list.length < count ? () => go(offset + PAGE) : undefined} />
    `}<//>
    ${
      dialog?.kind === "remove" &&
      html`<${Confirm} title="Remove ${dialog.member.username}?" action="Remove"
        onConfirm=${() => remove(dialog.member)} onClose=${close}>
      <p>With the membership go their roles in ${organization.display_name || organization.name}.</p><//>`
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
  const form = useForm({ username: "" }, async ({ username }) => {
    if (!username.trim()) {
      throw new ApiError(400, "", "", { username: "Whom?" });
    }
    try {
      await post(`${path}/members/${segment(username.trim())}`);
    } catch (error) {
      throw new ApiError(error.status, error.message, error.detail, { username: error.message });
    }
    form.set("username", "");
    onAdded();
    toast(`${username.trim()} is a member now.`);
  });
  return html`<form class="in-line" ...${form.props}>
    <${TextField} label="Add somebody by username" autocomplete="off" autocapitalize="none"
      spellcheck=${false} ...${form.bind("username")} />
    <${Submit} form=${form} kind="">Add<//>
  </form>`;
}

function Table({ members, me, may, onDialog }) {
  const words = (roles) =>
    roles.map((role) => role.display_name || role.name).join(", ") || "Member";
  return html`<table>
    <thead><tr><th scope="col">Person</th><th scope="col">Roles here</th><th><span
      class="hidden">Actions</span></th></tr></thead>
    <tbody>${members.map((member) => html`<tr key=${member.user_id}>
      <th scope="row"><span class="person"><${Avatar} user=${member} /><span>
        <a class="row-link" href="/users/${member.user_id}">${nameOf(member)}</a><span
          class="help">${member.email}</span></span></span></th>
      <td data-label="Roles here">${words(member.roles)}</td>
      <td class="row-actions">
        ${may.assignRoles && member.user_id !== me.id && html`<${Button}
          onClick=${() => onDialog({ kind: "roles", member })} aria-label="Roles of ${member.username}">Roles<//>`}
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
    toast("The roles are saved.");
    onSaved();
  });
  const toggle = (name, isOn) => {
    const others = form.values.roles.filter((one) => one !== name);
    form.set("roles", isOn ? [...others, name] : others);
  };
  return html`<form ...${form.props}>
    ${roles.map((role) => html`<${Checkbox} key=${role.name} label=${role.display_name || role.name}
        disabled=${!role.assignable}
      checked=${form.values.roles.includes(role.name)} onChange=${(isOn) => toggle(role.name, isOn)} />`,
    )}
    <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Save<//>
  </form>`;
}
