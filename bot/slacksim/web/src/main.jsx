import { render } from "preact";
import "slack-blocks-to-jsx/dist/style.css";
import "./style.css";
import { App } from "./app.jsx";

render(<App />, document.getElementById("app"));
