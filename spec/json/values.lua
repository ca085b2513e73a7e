--- What the accepted files say.
local mde = require "mde"

local null = mde.null

return {
  empty_object = {},
  empty_key = { [""] = 1 },
  duplicate_key = { a = 2 }, -- the last one holds, as RFC 8259 tells of most
  duplicate_key_same_value = { a = 1 },
  nested_empties = { a = {}, b = {}, c = { {} } },
  literals = { t = true, f = false, n = null },
  literals_in_array = { a = { true, false, null } },
  null_value = { value = null },

  integers = { a = { 0, 0, 1, -1, 123456789 } },
  fractions = { a = { 0.5, -0.25, 1, 0 } },
  exponents = { a = { 100, 100, 100, 0.01, 0, 0, -15 } },
  integer_of_53_bits = { a = 9007199254740991 },
  tiny_number = { a = 0 },

  escapes = { a = '"\\/\b\f\n\r\t' },
  unicode_escapes = { a = "A\195\164\226\130\172\239\191\189" },
  surrogate_pair = { a = "\240\159\152\128\244\143\191\191" },
  escaped_nul = { a = "x\0y" },
  escaped_nul_in_key = { ["x\0y"] = 1 },
  escaped_key = { a = 1 },
  noncharacters = { a = "\239\191\191\239\183\144" },
  utf8 = { ["\195\164\226\130\172\240\159\152\128"] = "\195\164\226\130\172\240\159\152\128" },
  delete_character = { a = "\127" },
  line_separators = { a = "\226\128\168\226\128\169" },
  c1_controls = { a = "\194\133" },
  comment_in_string = { a = "/* no */ // comment" },
  brackets_in_string = { a = "[{]}", b = '"}' },

  white_space = { a = { 1, 2 } },
  no_white_space = { a = { 1, { b = 2 } }, c = 3 },
  numbers_as_keys = { ["1"] = "one", ["-1"] = "minus" },
  keys_of_lua = { __index = 1, __gc = 2, __metatable = 3 },
}
