// node greedy.mjs BUNDLE REQUEST.json
//
// Answer a request (answers.mjs says what it holds) from a bundle's folder, offline; print one JSON object a prompt, in a list.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { env } from "@huggingface/transformers";
import { answer } from "./answers.mjs";

env.allowRemoteModels = false;
env.useFSCache = false; // a cached file of the same name would be taken before the bundle's

const [folder, request] = process.argv.slice(2);
const bytes = async (path) => new Uint8Array(await readFile(path)).slice();
console.log(JSON.stringify(await answer(resolve(folder), JSON.parse(await readFile(request, "utf8")), bytes, "cpu")));
