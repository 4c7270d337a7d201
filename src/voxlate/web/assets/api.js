// Requests to the server. Every answer is JSON; a refusal throws Refused with the status and code of the server.
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let csrf = "";

export async function call(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (method !== "GET") headers["x-csrf-token"] = csrf;
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, content.code ?? "HTTP", content.message ?? `HTTP ${response.status}`);
  if (content.csrf) csrf = content.csrf;
  return content;
}

export const enter = (token) => call("POST", "api/session", { token });
export const leave = () => call("DELETE", "api/session");
export const readState = () => call("GET", "api/state");
export const openPage = () => call("POST", "api/page", {});
export const noteInstructed = (content) => call("POST", "api/instructed", content);
export const sendAnswer = (answer) => call("POST", "api/answers", answer);
export const sendDraft = (draft) => call("POST", "api/drafts", draft);

export async function readImage(trial, slot) {
  const response = await fetch(`api/trials/${trial}/images/${slot}`);
  if (!response.ok) {
    const content = await response.json().catch(() => ({}));
    throw new Refused(response.status, content.code ?? "HTTP", content.message ?? `HTTP ${response.status}`);
  }
  return response.arrayBuffer();
}
