--- A new table: the first one's fields, and over them the second one's.
return function(base, changes)
  local all = {}
  for name, value in pairs(base) do all[name] = value end
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end
