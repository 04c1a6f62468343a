-- The files of the project, for the specs that read them: what git knows or would add.
local tree = {}

function tree.files(...)
  local command = "git ls-files -co --exclude-standard --"
  for _, pattern in ipairs { ... } do command = command .. " '" .. pattern .. "'" end
  local pipe = assert(io.popen(command))
  local paths = {}
  for path in pipe:lines() do
    local file = io.open(path)
    if file then -- deleted, but not yet in the index
      file:close()
      paths[#paths + 1] = path
    end
  end
  pipe:close()
  assert(#paths > 0, "git ls-files found nothing for " .. table.concat({ ... }, " "))
  return paths
end

function tree.read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- Iterates over (line number, line).
function tree.lines(path)
  local number = 0
  local next_line = (tree.read(path):gsub("\n?$", "\n")):gmatch "(.-)\n"
  return function()
    number = number + 1
    local line = next_line()
    if line then return number, line end
  end
end

-- The text with comments, strings and character constants of C blanked, line breaks kept.
function tree.strip_c(text)
  local out, at = {}, 1
  local function blank(piece) return (piece:gsub("[^\n]", " ")) end
  while true do
    local from = text:find("[/\"']", at)
    if not from then break end
    out[#out + 1] = text:sub(at, from - 1)
    local char, two = text:sub(from, from), text:sub(from, from + 1)
    local to = from
    if two == "/*" then
      to = select(2, text:find("*/", from + 2, true)) or #text
    elseif two == "//" then
      to = (text:find("\n", from, true) or #text + 1) - 1
    elseif char ~= "/" then
      to = from + 1
      while to <= #text and text:sub(to, to) ~= char do
        to = to + (text:sub(to, to) == "\\" and 2 or 1)
      end
    end
    out[#out + 1] = char == "/" and to == from and "/" or blank(text:sub(from, to))
    at = to + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

return tree
