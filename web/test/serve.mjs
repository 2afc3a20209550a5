// `node test/serve.mjs [PORT]`: dist/index.html with the stand-in server behind it, for development.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createMock } from "./mock.mjs";

const page = new URL("../dist/index.html", import.meta.url);
const port = Number(process.argv[2] ?? 5180);
const mock = createMock();

createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  const found = mock.answer(request.method, new URL(request.url, "http://localhost").pathname, text === "" ? undefined : JSON.parse(text));
  if (found !== null) response.writeHead(found[0], { "content-type": "application/json" }).end(JSON.stringify(found[1]));
  else response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(await readFile(page));
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
