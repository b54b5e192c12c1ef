// Block Kit. A library renders rich text, tables, images and Markdown; texts get
// to it as rich text (see mrkdwn.js). What is acted on (buttons, menus, inputs)
// is ours, because it has to act, to ask first, and to carry labels.

import { Component, createContext } from "preact";
import { useContext, useMemo } from "preact/hooks";
import { has } from "node-emoji";
import { Message as Rendered } from "slack-blocks-to-jsx";
import { slackDate } from "./format.js";
import { plainText, richText } from "./mrkdwn.js";

// Scope says who is who and which theme shows.
export const Scope = createContext({ state: null, theme: "light" });

export function useNames() {
  const { state } = useContext(Scope);
  return useMemo(() => {
    const people = [...state.accounts, { id: state.bot.id, name: state.bot.name }, { id: "USLACKBOT", name: "Slackbot" }];
    return {
      people: new Map(people.map((a) => [a.id, a.name])),
      channels: new Map(state.channels.map((c) => [c.id, c.name])),
      groups: new Map((state.groups ?? []).map((g) => [g.ID, g.Handle])),
    };
  }, [state]);
}

const mention = (text) => <span class="mention">{text}</span>;

function hooksFor(names) {
  return {
    user: ({ id }) => mention("@" + (names.people.get(id) ?? id)),
    channel: ({ id }) => mention("#" + (names.channels.get(id) ?? id)),
    usergroup: ({ id }) => mention("@" + (names.groups.get(id) ?? id)),
    atHere: () => mention("@here"),
    atChannel: () => mention("@channel"),
    atEveryone: () => mention("@everyone"),
    date: ({ timestamp, format, fallback }) => (
      <time dateTime={new Date(Number(timestamp) * 1000).toISOString()}>{slackDate(timestamp, format, fallback)}</time>
    ),
  };
}

const rich = (elements) => [{ type: "rich_text", elements }];

const ofText = (text) => rich(text.type === "mrkdwn" ? richText(text.text, has) : plainText(text.text, has));

// prepared points images at files and gives the library nothing to misread.
function prepared(block) {
  if (block.type === "image" && block.slack_file?.id) return { ...block, image_url: `/files-pri/${block.slack_file.id}/image` };
  if (block.type === "markdown") return { ...block, text: block.text.replace(/:(?=\d+:)/g, ":\u200b") };
  if (block.type !== "table") return block;
  const cell = (c) => (c.type === "raw_text" ? rich(plainText(c.text, has))[0] : c);
  return { ...block, rows: block.rows.map((row) => row.map(cell)) };
}

// Boundary keeps one block that can't be rendered from taking the page with it.
class Boundary extends Component {
  state = { failed: null };
  static getDerivedStateFromError(failed) {
    return { failed };
  }
  render() {
    if (!this.state.failed) return this.props.children;
    return <pre class="unrendered">{JSON.stringify(this.props.block, null, 2)}</pre>;
  }
}

function Library({ blocks }) {
  const { theme } = useContext(Scope);
  const names = useNames();
  const hooks = useMemo(() => hooksFor(names), [names]);
  return (
    <Rendered key={JSON.stringify(blocks)} blocks={blocks} withoutWrapper theme={theme} hooks={hooks} className="rendered" />
  );
}

const TextObject = ({ text }) => <Library blocks={ofText(text)} />;

export const Text = ({ text, plain }) => <TextObject text={{ type: plain ? "plain_text" : "mrkdwn", text }} />;

// ReadBlock is a block that is only read.
function ReadBlock({ block }) {
  if (block.type === "header") return <div class="kit-header" role="heading" aria-level={2}><TextObject text={block.text} /></div>;
  if (block.type === "context") return <div class="kit-context">{block.elements.map((e, i) => <InContext key={i} element={e} />)}</div>;
  if (block.type === "divider") return <hr />;
  if (block.type !== "section") return <Library blocks={[prepared(block)]} />;
  return (
    <div class="kit-section">
      {block.text && <TextObject text={block.text} />}
      {block.fields && <div class="kit-fields">{block.fields.map((f, i) => <TextObject key={i} text={f} />)}</div>}
      {block.accessory && <img class="kit-thumb" src={sourceOf(block.accessory)} alt={block.accessory.alt_text} />}
    </div>
  );
}

const sourceOf = (image) => (image.slack_file?.id ? `/files-pri/${image.slack_file.id}/image` : image.image_url);

function InContext({ element }) {
  if (element.type === "image") return <img src={sourceOf(element)} alt={element.alt_text} />;
  return <TextObject text={element} />;
}

const acts = new Set([
  "button", "checkboxes", "datepicker", "datetimepicker", "multi_static_select", "multi_users_select", "overflow",
  "radio_buttons", "static_select", "timepicker", "users_select",
]);

// Blocks renders a message's or view's blocks; onAct gets (element, choice, ref)
// where ref is block_id/action_id, renderInput draws input blocks.
export function Blocks({ blocks, onAct, renderInput }) {
  return blocks.map((block) => (
    <Boundary key={`${block.block_id} ${JSON.stringify(block)}`} block={block}>
      <OneBlock block={block} onAct={onAct} renderInput={renderInput} />
    </Boundary>
  ));
}

function OneBlock({ block, onAct, renderInput }) {
  if (block.type === "input" && renderInput) return renderInput(block);
  if (block.type === "actions") {
    return (
      <div class="actions" role="group" aria-label="Actions">
        {block.elements.map((e) => <Control key={e.action_id} element={e} block={block} onAct={onAct} />)}
      </div>
    );
  }
  if (block.type !== "section" || !acts.has(block.accessory?.type)) return <ReadBlock block={block} />;
  const { accessory, ...rest } = block;
  return (
    <div class="with-accessory">
      <ReadBlock block={rest} />
      <Control element={accessory} block={block} onAct={onAct} />
    </div>
  );
}

function Control({ element, block, onAct }) {
  const ref = `${block.block_id}/${element.action_id}`;
  const act = (choice = "") => onAct(element, choice, ref);
  if (element.type === "button") {
    return (
      <button type="button" class={`kit ${element.style ?? ""}`} aria-label={element.accessibility_label} onClick={() => act()}>
        {element.text.text}
      </button>
    );
  }
  return <Choice element={element} onChange={act} label={element.placeholder?.text ?? "Choose"} />;
}

// Choice is an element with options, people, a date or a time.
export function Choice({ element, onChange, label, id, value, invalid, describedBy }) {
  const { state } = useContext(Scope);
  const common = { id, "aria-label": id ? undefined : label, "aria-invalid": invalid, "aria-describedby": describedBy };
  const change = (e) => onChange(e.currentTarget.value);
  const types = { datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" };
  if (types[element.type]) return <input class="field" type={types[element.type]} value={value} onChange={change} {...common} />;
  if (element.type === "checkboxes" || element.type === "radio_buttons") {
    return <Boxes element={element} onChange={onChange} value={value} label={label} id={id} describedBy={describedBy} />;
  }
  const options = element.options ?? state.accounts.map((a) => ({ value: a.id, text: { text: a.name } }));
  const several = element.type.startsWith("multi_");
  const changed = several ? (e) => onChange([...e.currentTarget.selectedOptions].map((o) => o.value).join(",")) : change;
  const chosen = (value ?? "").split(",");
  return (
    <select class="field" multiple={several} onChange={changed} {...common}>
      {!several && <option value="" selected={!value}>{element.placeholder?.text ?? label}</option>}
      {options.map((o) => (
        <option key={o.value} value={o.value} selected={chosen.includes(o.value)}>{o.text.text}</option>
      ))}
    </select>
  );
}

function Boxes({ element, onChange, value, label, id, describedBy }) {
  const kind = element.type === "checkboxes" ? "checkbox" : "radio";
  const chosen = (value ?? "").split(",").filter(Boolean);
  const toggle = (option, on) => {
    if (kind === "radio") return onChange(option);
    onChange([...chosen.filter((c) => c !== option), ...(on ? [option] : [])].join(","));
  };
  return (
    <div class="boxes" role={kind === "radio" ? "radiogroup" : "group"} aria-label={label} aria-describedby={describedBy} id={id}>
      {element.options.map((o) => (
        <label key={o.value}>
          <input type={kind} name={element.action_id} checked={chosen.includes(o.value)} onChange={(e) => toggle(o.value, e.currentTarget.checked)} />
          <span>
            {o.text.text}
            {o.description && <small>{o.description.text}</small>}
          </span>
        </label>
      ))}
    </div>
  );
}
