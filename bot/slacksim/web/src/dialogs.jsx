// Dialogs: a button's confirmation, and modals with their inputs. The native
// dialog element keeps the focus inside and closes on Escape.

import { useContext, useEffect, useId, useRef, useState } from "preact/hooks";
import { Blocks, Choice, Scope, Text } from "./blocks.jsx";
import { Icon } from "./icons.jsx";
import { post } from "./store.js";

function Dialog({ label, onClose, children, kind }) {
  const ref = useRef(null);
  useEffect(() => {
    ref.current.showModal();
    ref.current.querySelector(".field, footer button")?.focus();
  }, []);
  const cancel = (e) => {
    e.preventDefault();
    onClose();
  };
  return <dialog ref={ref} class={kind} aria-label={label} onCancel={cancel}>{children}</dialog>;
}

export function Confirm({ confirm, style, go, onClose }) {
  const yes = () => {
    onClose();
    go();
  };
  return (
    <Dialog label={confirm.title.text} onClose={onClose} kind="confirm">
      <h2>{confirm.title.text}</h2>
      <Text text={confirm.text.text} />
      <footer>
        <button type="button" class="kit" onClick={onClose}>{confirm.deny.text}</button>
        <button type="button" class={`kit ${confirm.style ?? style ?? "primary"}`} onClick={yes}>{confirm.confirm.text}</button>
      </footer>
    </Dialog>
  );
}

const initialOf = (e) =>
  e.initial_value ?? e.initial_user ?? e.initial_date ?? e.initial_time ?? e.initial_option?.value ??
  e.initial_options?.map((o) => o.value).join(",") ?? "";

export function Modal({ view, me, notify, onInspect }) {
  const { state } = useContext(Scope);
  const [values, setValues] = useState({});
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(null);
  const set = (key, value) => setValues((old) => ({ ...old, [key]: value }));

  const run = async (action, body) => {
    setBusy(true);
    const answer = await post(action, { user: me, view: view.id, ...body });
    setBusy(false);
    if (answer.error) notify(answer.error);
  };
  const submit = (e) => {
    e.preventDefault();
    const known = view.blocks.filter((b) => b.type === "input").map((b) => b.block_id);
    run("submit", { values: Object.fromEntries(Object.entries(values).filter(([key]) => known.includes(key))) });
  };
  const close = () => run("close", {});
  const press = (ref, choice) => run("press", { action: ref, choice });
  const act = (element, choice, ref) =>
    element.confirm ? setAsking({ confirm: element.confirm, style: element.style, go: () => press(ref, choice) }) : press(ref, choice);

  return (
    <Dialog label={view.title} onClose={close} kind="modal">
      <form onSubmit={submit} aria-busy={busy}>
        <header>
          <h2>{view.title}</h2>
          <button type="button" class="bare" title="Show the JSON" aria-label="Show the JSON" onClick={() => onInspect(view)}><Icon name="code" /></button>
          <button type="button" class="bare" aria-label="Close" onClick={close}><Icon name="close" /></button>
        </header>
        <div class="scroll" tabIndex={0}>
          <Blocks
            blocks={view.blocks}
            onAct={act}
            renderInput={(block) => (
              <Input key={block.block_id} block={block} value={values[block.block_id] ?? initialOf(block.element)}
                error={view.errors?.[block.block_id]} onChange={(v) => set(block.block_id, v)} people={state.accounts} />
            )}
          />
        </div>
        {view.shown && <p class="trouble" role="alert">{view.shown}</p>}
        <footer>
          <button type="button" class="kit" onClick={close}>{view.close || "Cancel"}</button>
          {view.submit && <button type="submit" class="kit primary" disabled={busy}>{busy ? "Sending…" : view.submit}</button>}
        </footer>
      </form>
      {asking && <Confirm {...asking} onClose={() => setAsking(null)} />}
    </Dialog>
  );
}

const textTypes = { email_text_input: "email", url_text_input: "url", number_input: "number", plain_text_input: "text" };

function Input({ block, value, error, onChange }) {
  const id = useId();
  const e = block.element;
  const about = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  const common = {
    id, value, class: "field", placeholder: e.placeholder?.text, required: !block.optional, minLength: e.min_length, maxLength: e.max_length,
    "aria-invalid": Boolean(error), "aria-describedby": about, autoComplete: "off",
    onInput: (event) => onChange(event.currentTarget.value),
  };
  let control;
  if (e.multiline) control = <textarea rows={4} {...common} />;
  else if (textTypes[e.type]) control = <input type={textTypes[e.type]} {...common} />;
  else control = <Choice element={e} id={id} label={block.label.text} value={value} onChange={onChange} invalid={Boolean(error)} describedBy={about} />;
  return (
    <div class="input">
      <label for={id}>{block.label.text}{block.optional && <span class="quiet"> (optional)</span>}</label>
      {control}
      {error && <p class="error" id={`${id}-error`} role="alert">{error}</p>}
      {block.hint && <p class="hint" id={`${id}-hint`}>{block.hint.text}</p>}
    </div>
  );
}
