// The alert ids in what somebody pasted.
//
//     idsIn('"da1", da2\nda1')    // { ids: ["da1", "da2"], repeated: 1, excess: 0 }
//
// What an id may look like is the gateway's to say: an odd one is asked for, and the answer shown.

/** More are not taken: an hour's quota is not much larger. */
export const MOST_IDS = 1000;

const BETWEEN = /[\s,;|"'`()[\]{}]+/u;

// "." and ".." would change the address of the request; dashes are a list's bullets.
const isId = (word) => /[\p{L}\p{N}]/u.test(word);

export function idsIn(text) {
  const words = text.split(BETWEEN).filter(isId);
  const unique = [...new Set(words)];
  return {
    ids: unique.slice(0, MOST_IDS),
    repeated: words.length - unique.length,
    excess: Math.max(0, unique.length - MOST_IDS),
  };
}
