/** The theme, and the font of terminals in other apps. */
import { get, put, segment } from "../api.js";
import { html } from "../preact.js";
import { applyTheme, useSession } from "../session.js";
import { SettingsTabs } from "../settings-tabs.js";
import {
  Checkbox,
  Loaded,
  Page,
  Section,
  SelectField,
  Submit,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

const THEMES = [
  ["auto", "Match system", "Uses the light or dark setting of your device."],
  ["light", "Light", ""],
  ["dark", "Dark", ""],
];

const FONTS = [
  ["ibm-plex-mono", "IBM Plex Mono"],
  ["fira-code", "Fira Code"],
  ["source-code-pro", "Source Code Pro"],
  ["jetbrains-mono", "JetBrains Mono"],
];

export default function Appearance() {
  const appearance = useLoad((signal) => get("/users/me/appearance", { signal }));
  return html`<${Page} title="Appearance">
    <${SettingsTabs} here="/settings/appearance" />
    <${Loaded} from=${appearance}>${(loaded) => html`<${Form} appearance=${loaded} />`}<//>
  <//>`;
}

function Form({ appearance }) {
  const { me } = useSession();
  const isKnown = THEMES.some(([theme]) => theme === appearance.theme_preference);
  const initial = {
    theme_preference: isKnown ? appearance.theme_preference : "auto",
    terminal_font: appearance.terminal_font || FONTS[0][0],
  };
  const form = useForm(initial, async (values) => {
    const saved = await put(`/users/${segment(me.id)}/appearance`, values);
    applyTheme(saved.theme_preference);
    toast("Appearance saved.");
  });
  return html`<${Section} title="Theme and font">
    <form ...${form.props}>
      <fieldset>
        <legend>Theme</legend>
        ${THEMES.map(
          ([theme, label, help]) => html`<${Checkbox} key=${theme} type="radio"
          name="theme_preference" label=${label} help=${help} checked=${form.values.theme_preference === theme}
          onChange=${() => form.set("theme_preference", theme)} />`,
        )}
      </fieldset>
      <${SelectField} label="Terminal font" help="Used by apps with a terminal."
        options=${FONTS}
        ...${form.bind("terminal_font")} />
      <${Submit} form=${form}>Save appearance<//>
    </form>
  <//>`;
}
