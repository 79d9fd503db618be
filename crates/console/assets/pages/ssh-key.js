/** The SSH key that git uses on the user's behalf. */
import { get, put, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import { Button, Confirm, CopyBox, Loaded, Page, Section, Time, toast, useLoad } from "../ui.js";

export default function SshKey() {
  const { me } = useSession();
  const path = `/users/${segment(me.id)}/gitsshkey`;
  const key = useLoad((signal) => get(path, { signal }));
  const [isConfirming, setIsConfirming] = useState(false);
  const replace = async () => {
    key.setData(await put(path));
    setIsConfirming(false);
    toast("SSH key replaced.");
  };
  return html`<${Page} title="SSH key">
    <${SettingsTabs} here="/settings/ssh-keys" />
    <${Section} title="Git SSH key" lead="Add the public key to your account at your Git host.">
      <${Loaded} from=${key}>${(loaded) => html`
        <${CopyBox} label="Public key" text=${loaded.public_key.trim()} />
        <p class="help">Created <${Time} at=${loaded.updated_at} /></p>
        <div class="form-actions"><${Button} onClick=${() => setIsConfirming(true)}>Generate new key<//></div>
      `}<//>
    <//>
    ${
      isConfirming &&
      html`<${Confirm} title="Generate a new SSH key?" action="Generate new key" onConfirm=${replace}
        onClose=${() => setIsConfirming(false)}>
      <p>The old key stops working. Replace it wherever you added it.</p>
    <//>`
    }
  <//>`;
}
