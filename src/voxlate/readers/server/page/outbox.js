// Keeps an answer in this browser until the server has stored it, so that a reload, a crash or an interrupted
// connection loses nothing.
import { Refused, sendAnswer } from "./api.js";

const SLOWEST_MS = 15000; // longest pause between two attempts; chosen by hand
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const storageKey = (reader) => `voxlate-pending-${reader}`;

export const waiting = (reader) => JSON.parse(localStorage.getItem(storageKey(reader)) ?? "null");
export const forget = (reader) => localStorage.removeItem(storageKey(reader));

// Sends an answer until the server has stored it. The server stores a submission once, so repeating it is safe.
export async function deliver(reader, answer, say) {
  localStorage.setItem(storageKey(reader), JSON.stringify(answer));
  for (let pause = 500; ; pause = Math.min(pause * 2, SLOWEST_MS)) {
    try {
      const kept = await sendAnswer(answer);
      forget(reader);
      return kept;
    } catch (error) {
      const isPassing = !(error instanceof Refused) || error.status >= 500 || error.status === 429;
      if (!isPassing) throw error;
      say();
      await Promise.race([wait(pause), new Promise((resolve) => addEventListener("online", resolve, { once: true }))]);
    }
  }
}
