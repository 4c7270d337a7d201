// An answer is kept in this browser until the server has it: a refresh, a crash or ten minutes offline lose nothing.
import { Refused, sendAnswer } from "./api.js";

const SLOWEST_MS = 15000;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const place = (reader) => `voxlate-pending-${reader}`;

export const waiting = (reader) => JSON.parse(localStorage.getItem(place(reader)) ?? "null");
export const forget = (reader) => localStorage.removeItem(place(reader));

// Sends an answer until it is kept. The same submission again is the same answer, so that trying twice is safe.
export async function deliver(reader, answer, say) {
  localStorage.setItem(place(reader), JSON.stringify(answer));
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
