--- backup.s3: backups in an S3-compatible store, as the same files under a prefix.
--
-- Every object and every part of one is sent with its SHA-256, which the store checks and answers with. COMPLETE is sent last and removed
-- first: without it there is no backup. An upload that ended half-way goes on where it ended: what the store already has, with the
-- same checksum, is not sent again. The protocol: Amazon S3 API Reference; additional checksums: "Checking object integrity".

local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local http = require "http"
local manifests = require "backup.manifest"
local metered = require "backup.metered"
local random = require "random"
local task = require "task"

local M = {}

local PART_BYTES = 8 << 20
local MAX_PARTS = 10000
local AT_ONCE = 4
local ATTEMPTS = 5
local FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5
local TIMEOUT_S = 300
local EXECUTABLE = tonumber("700", 8)
local MAX_OBJECTS = 1000000 -- of one list
local EMPTY_HASH = files.sha256_text ""

-- --- texts -----------------------------------------------------------------------------------------------

local function encode(text, keep_slash)
  return (text:gsub(keep_slash and "[^%w%-._~/]" or "[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The query as it is signed: sorted by name, everything encoded.
local function query_of(values)
  local parts = {}
  for name, value in pairs(values or {}) do parts[#parts + 1] = encode(name) .. "=" .. encode(tostring(value)) end
  table.sort(parts)
  return parts[1] and "?" .. table.concat(parts, "&") or ""
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function bytes_of(hex) return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

--- A hash in hexadecimal digits as base64, which is how S3 writes checksums.
---@param hex string
---@return string
---@usage assert(require("backup.s3").base64 "666f6f" == "Zm9v")
function M.base64(hex)
  local bytes, out = bytes_of(hex), {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for j = 0, 3 do
      local at = (n >> (18 - 6 * j) & 63) + 1
      out[#out + 1] = (j == 2 and not b or j == 3 and not c) and "=" or BASE64:sub(at, at)
    end
  end
  return table.concat(out)
end

local ENTITIES = { lt = "<", gt = ">", quot = '"', apos = "'", amp = "&" }

local function unescape(text)
  return (text:gsub("&(#?x?)(%w+);", function(kind, word)
    if kind == "" then return ENTITIES[word] end
    local number = tonumber(word, kind == "#x" and 16 or 10)
    return number and number <= 0x10ffff and utf8.char(number) or nil
  end))
end

-- The content of the first element of this name, and of every one. The answers nest no element in one of its own name.
local function element(xml, name)
  local content = xml:match("<" .. name .. "[^>]*>(.-)</" .. name .. ">")
  return content and unescape(content)
end

local function elements(xml, name)
  local out = {}
  for content in xml:gmatch("<" .. name .. ">(.-)</" .. name .. ">") do out[#out + 1] = content end
  return out
end

-- --- requests -----------------------------------------------------------------------------------------------

local Store = {}
Store.__index = Store

local function failed(message, cause, next_step)
  error(core_err.new { code = "store", op = "s3", message = message, cause = cause, next = next_step }, 0)
end

local function is_worth_another(response, err)
  if err then return err.code == "timeout" or err.code == "closed" or err.code == "connect" or err.code == "resolve" or err.code == "io" or err.code == "protocol" end
  return response.status >= 500 or response.status == 408 or response.status == 429
end

local ADVICE = {
  SignatureDoesNotMatch = "Check the secret access key, and that the machine's clock is right.",
  InvalidAccessKeyId = "Check AWS_ACCESS_KEY_ID.", AccessDenied = "Give the key the rights to list, read, write and delete under the prefix.",
  NoSuchBucket = "Make the bucket, or correct its name.", RequestTimeTooSkewed = "Set the machine's clock.",
}

-- One request, again while that may help. options: query, headers, body, body_file, body_offset, body_bytes, hash (of the body), to_file, to_file_limit, allow
-- (a status that is no failure).
function Store:request(method, key, options)
  options = options or {}
  local headers = { ["x-amz-content-sha256"] = options.hash or (options.body and files.sha256_text(options.body)) or EMPTY_HASH }
  for name, value in pairs(options.headers or {}) do headers[name] = value end
  if self.session_token then headers["x-amz-security-token"] = self.session_token end
  local url = ("%s/%s%s%s"):format(self.endpoint, self.bucket, key and "/" .. encode(key, true) or "", query_of(options.query))
  local pause = FIRST_PAUSE_S
  for attempt = 1, ATTEMPTS do
    local response, err = http.request {
      method = method, url = url, headers = headers, body = options.body, body_file = options.body_file, body_offset = options.body_offset, body_bytes = options.body_bytes,
      to_file = options.to_file, to_file_limit = options.to_file_limit, timeout = self.timeout, user = self.access_key, password = self.secret_key, sigv4 = "aws:amz:" .. self.region .. ":s3", max_response = 64 << 20,
    }
    if response and response.status == options.allow then return response end
    -- CompleteMultipartUpload may answer 200 and say in the body that it failed.
    if response and response.status < 300 and not (method == "POST" and response.body:find("<Error>", 1, true)) then return response end
    if options.to_file then files.remove(options.to_file) end
    local what = ("%s %s/%s"):format(method, self.bucket, key or "")
    local code = response and element(response.body, "Code")
    local words = err and err.message or ("the store answered %d%s"):format(response.status, code and (" %s: %s"):format(code, element(response.body, "Message") or "") or "")
    if attempt == ATTEMPTS or not (is_worth_another(response, err) or (response and response.status < 300)) then
      failed(("%s: %s%s"):format(what, words, attempt > 1 and (" (after %d attempts)"):format(attempt) or ""), nil, code and ADVICE[code] or nil)
    end
    sleep(pause * random.integer(50, 150) / 100)
    pause = math.min(pause * 2, LONGEST_PAUSE_S)
  end
end

-- An answer that is a whole list of its kind, and where the next page of it begins. A page that was cut off, or that leads back to
-- one that was seen, would make a list look shorter, or endless.
function Store:page_of(kind, key, query, next_name, seen)
  local xml = self:request("GET", key, { query = query }).body
  local what = ("the list of %s/%s"):format(self.bucket, key or query.prefix)
  if not xml:find(("</%s>%%s*$"):format(kind)) then failed(what .. " is cut off, or none") end
  if element(xml, "IsTruncated") ~= "true" then return xml end
  local next_page = element(xml, next_name)
  if not next_page or next_page == "" or seen[next_page] then failed(what .. " does not say where it goes on") end
  seen[next_page] = true
  return xml, next_page
end

-- Every object under a prefix: key and size. With a delimiter: the prefixes up to it.
function Store:keys(prefix, delimiter)
  local objects, prefixes, seen, keys, xml, token = {}, {}, {}, {}, nil, nil
  local function checked(key)
    if not key or key:sub(1, #prefix) ~= prefix or keys[key] then failed(("the list of %s/%s has the key '%s', which is not of it or was there already"):format(self.bucket, prefix, tostring(key))) end
    keys[key] = true
    return key
  end
  repeat
    xml, token = self:page_of("ListBucketResult", nil, { ["list-type"] = 2, prefix = prefix, delimiter = delimiter, ["continuation-token"] = token, ["max-keys"] = self.page }, "NextContinuationToken", seen)
    for _, one in ipairs(elements(xml, "Contents")) do
      local key, size = checked(element(one, "Key")), math.tointeger(tonumber(element(one, "Size")))
      if not size or size < 0 then failed(("%s has no size in the store's list"):format(key)) end
      objects[#objects + 1] = { key = key, size = size }
    end
    for _, one in ipairs(elements(xml, "CommonPrefixes")) do prefixes[#prefixes + 1] = checked(element(one, "Prefix")) end
    if #objects + #prefixes > MAX_OBJECTS then failed(("the list of %s/%s has no end"):format(self.bucket, prefix)) end
  until not token
  return objects, prefixes
end

-- --- sending -----------------------------------------------------------------------------------------------

-- Which parts a file is sent in, each with its hash; and the checksum that the object then has.
function Store:parts_of(path, size)
  local part_bytes = math.max(self.part_bytes, math.ceil(size / MAX_PARTS))
  local parts, digests = {}, {}
  for offset = 0, math.max(size - 1, 0), part_bytes do
    local bytes = math.min(part_bytes, size - offset)
    local hash = assert(files.sha256(path, offset, bytes))
    parts[#parts + 1] = { number = #parts + 1, offset = offset, bytes = bytes, hash = hash, checksum = M.base64(hash) }
    digests[#digests + 1] = bytes_of(hash)
  end
  if #parts == 1 then return parts, parts[1].checksum end
  return parts, M.base64(files.sha256_text(table.concat(digests))) .. "-" .. #parts
end

local function check_answer(key, response, checksum)
  local answered = response.headers["x-amz-checksum-sha256"]
  if answered and answered ~= checksum then failed(("%s: the store received other bytes than were sent (checksum %s, not %s)"):format(key, answered, checksum)) end
end

function Store:has(key, size, checksum)
  local response = self:request("HEAD", key, { headers = { ["x-amz-checksum-mode"] = "ENABLED" }, allow = 404 })
  return response.status ~= 404 and tonumber(response.headers["content-length"]) == size and response.headers["x-amz-checksum-sha256"] == checksum
end

-- An upload of this object that was begun and not ended, with the parts that the store has of it.
function Store:unfinished(key)
  local xml = self:request("GET", nil, { query = { uploads = "", prefix = key } }).body
  for _, one in ipairs(elements(xml, "Upload")) do
    if element(one, "Key") == key then
      local id, have, seen, page, marker = element(one, "UploadId"), {}, {}, nil, nil
      repeat
        page, marker = self:page_of("ListPartsResult", key, { uploadId = id, ["part-number-marker"] = marker }, "NextPartNumberMarker", seen)
        for _, part in ipairs(elements(page, "Part")) do
          local number = tonumber(element(part, "PartNumber"))
          if number then have[number] = { checksum = element(part, "ChecksumSHA256"), etag = element(part, "ETag") } end
        end
      until not marker
      return id, have
    end
  end
end

function Store:send_parts(key, path, parts, checksum, told)
  local id, have = self:unfinished(key)
  if not id then
    id = element(self:request("POST", key, { query = { uploads = "" }, headers = { ["x-amz-checksum-algorithm"] = "SHA256" } }).body, "UploadId")
    have = {}
  end
  for _, part in ipairs(parts) do
    local there = have[part.number]
    part.etag = there and there.checksum == part.checksum and there.etag
    if not part.etag then
      local response = self:request("PUT", key, { query = { partNumber = part.number, uploadId = id }, hash = part.hash, headers = { ["x-amz-checksum-sha256"] = part.checksum },
        body_file = path, body_offset = part.offset, body_bytes = part.bytes })
      check_answer(key, response, part.checksum)
      part.etag = response.headers.etag
      self.sent_bytes = self.sent_bytes + part.bytes
    end
    told(part.bytes)
  end
  local lines = {}
  for i, part in ipairs(parts) do
    lines[i] = ("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>"):format(part.number, part.etag:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }), part.checksum)
  end
  self:request("POST", key, { query = { uploadId = id }, body = "<CompleteMultipartUpload>" .. table.concat(lines) .. "</CompleteMultipartUpload>", allow = 404 })
  -- What the store put together, as it says itself. There is no such upload any more when an attempt before had done it and its answer was lost.
  if not self:has(key, parts[#parts].offset + parts[#parts].bytes, checksum) then failed(key .. ": the store put the parts together to something else") end
end

-- told(bytes): so many more are in the store
function Store:send(key, path, size, told)
  local parts, checksum = self:parts_of(path, size)
  if self:has(key, size, checksum) then return told(size) end
  if parts[2] then return self:send_parts(key, path, parts, checksum, told) end
  local response = self:request("PUT", key, { hash = parts[1].hash, headers = { ["x-amz-checksum-sha256"] = checksum }, body_file = path, body_offset = 0, body_bytes = size })
  check_answer(key, response, checksum)
  self.sent_bytes = self.sent_bytes + size
  told(size)
end

local function names_below(folder, prefix, out)
  for _, name in ipairs(assert(files.list(folder .. "/" .. prefix))) do
    local stat = assert(files.stat(folder .. "/" .. prefix .. name))
    if stat.type == "directory" then names_below(folder, prefix .. name .. "/", out) else out[#out + 1] = { name = prefix .. name, size = stat.size } end
  end
  return out
end

local function guarded(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if core_err.is(result) and result.code ~= "canceled" and result.code ~= "interrupted" then return nil, result end
  error(result, 0)
end

-- What was sent is what the store lists, each with its size, and nothing else.
function Store:check_list(prefix, sent)
  local sizes = {}
  for _, one in ipairs(self:keys(prefix)) do sizes[one.key] = one.size end
  for _, one in ipairs(sent) do
    local key = prefix .. one.name
    if sizes[key] ~= one.size then failed(("%s: %d bytes were sent, the store lists %s"):format(key, one.size, sizes[key] or "nothing")) end
    sizes[key] = nil
  end
  local extra = next(sizes)
  if extra then failed(extra .. " does not belong to the backup that was sent; remove it, or send the backup under another prefix") end
end

--- Sends a finished backup. What the store already has of it is not sent again.
---@param folder string the backup
---@param id string
---@param progress? fun(at: table) as of backup.metered
---@return { files: integer, sent_bytes: integer }? sent, table? err code store
function Store:put(folder, id, progress)
  return guarded(function()
    self.sent_bytes = 0
    local list, last = {}, nil
    for _, one in ipairs(names_below(folder, "", {})) do
      if one.name == "COMPLETE" then last = one else list[#list + 1] = one end
    end
    if not last then failed(folder .. " has no COMPLETE: it is no finished backup") end
    local all = last.size
    for _, one in ipairs(list) do all = all + one.size end
    local told = metered.count(progress, all)
    task.map(list, function(one)
      self:send(self.prefix .. id .. "/" .. one.name, folder .. "/" .. one.name, one.size, told)
    end, { limit = AT_ONCE })
    self:send(self.prefix .. id .. "/COMPLETE", folder .. "/COMPLETE", last.size, told)
    list[#list + 1] = last
    self:check_list(self.prefix .. id .. "/", list)
    return { files = #list, sent_bytes = self.sent_bytes }
  end)
end

-- --- the rest -----------------------------------------------------------------------------------------------

--- The backups in the store, the latest first.
---@return { id: string, complete: boolean }[]? list, table? err
function Store:list()
  return guarded(function()
    local out = {}
    local _, prefixes = self:keys(self.prefix, "/")
    for _, prefix in ipairs(prefixes) do
      local id = prefix:sub(#self.prefix + 1, -2)
      out[#out + 1] = { id = id, complete = self:request("HEAD", prefix .. "COMPLETE", { allow = 404 }).status ~= 404 }
    end
    table.sort(out, function(a, b) return a.id > b.id end)
    return out
  end)
end

--- Brings a backup into a folder, as folder/ID. It is not verified yet: do that.
---@param id string
---@param folder string
---@param progress? fun(at: table) as of backup.metered
---@return string? path, table? err
function Store:fetch(id, folder, progress)
  local partial, path = ("%s/%s.partial"):format(folder, id), ("%s/%s"):format(folder, id)
  local fetched, err = guarded(function()
    if not manifests.is_id(id) then failed(("'%s' is no id of a backup"):format(id)) end
    local prefix = self.prefix .. id .. "/"
    local objects, complete = self:keys(prefix), false
    for _, one in ipairs(objects) do
      one.name = one.key:sub(#prefix + 1)
      if not manifests.is_inside(one.name) then failed(("the object '%s' would lead out of the folder; nothing is fetched"):format(one.key)) end
      complete = complete or one.name == "COMPLETE"
    end
    if not complete then failed(("there is no finished backup %s in %s"):format(id, self.address)) end
    assert(files.remove_tree(partial))
    for _, one in ipairs(objects) do assert(files.mkdir(partial .. "/" .. (one.name:match "^(.*)/" or ""))) end
    local all = 0
    for _, one in ipairs(objects) do all = all + one.size end
    local told = metered.count(progress, all)
    task.map(objects, function(one)
      local to = partial .. "/" .. one.name
      self:request("GET", one.key, { to_file = to, to_file_limit = math.max(one.size, 1) })
      local stat = assert(files.stat(to))
      if stat.size ~= one.size then failed(("%s: %d bytes came, the store says %d"):format(one.key, stat.size, one.size)) end
      told(one.size)
    end, { limit = AT_ONCE })
    local script = partial .. "/restore.sh"
    if files.stat(script) then assert(files.write(script, assert(files.read(script)), EXECUTABLE)) end -- a store keeps no permissions
    assert(files.sync_tree(partial))
    assert(files.rename(partial, path))
    return true
  end)
  if fetched then return path end
  shield(function() files.remove_tree(partial) end)
  return nil, err
end

--- Removes a backup, COMPLETE first, and uploads of it that never ended.
---@param id string
---@return integer? objects, table? err
function Store:remove(id)
  return guarded(function()
    local prefix = self.prefix .. id .. "/"
    local objects = self:keys(prefix)
    self:request("DELETE", prefix .. "COMPLETE", { allow = 404 })
    for _, one in ipairs(objects) do
      if one.key ~= prefix .. "COMPLETE" then self:request("DELETE", one.key, { allow = 404 }) end
    end
    for _, one in ipairs(elements(self:request("GET", nil, { query = { uploads = "", prefix = prefix } }).body, "Upload")) do
      self:request("DELETE", element(one, "Key"), { query = { uploadId = element(one, "UploadId") }, allow = 404 })
    end
    return #objects
  end)
end

--- A store by its address: s3://BUCKET/PREFIX?endpoint=http://127.0.0.1:9000&region=eu-central-1. The endpoint is Amazon's when none is given.
-- Keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if it is set, AWS_SESSION_TOKEN.
---@param address string
---@param options? { access_key?: any, secret_key?: any, session_token?: any, part_bytes?: integer, page?: integer, timeout?: number } instead of the environment; sizes for tests
---@return table? store, table? err code usage
---@usage local store, err = require("backup.s3").open "s3:/nothing"  assert(not store and err.code == "usage")
function M.open(address, options)
  options = options or {}
  local function usage(message, next_step) return nil, core_err.new { code = "usage", op = "s3", message = message, next = next_step } end
  local bucket, rest = address:match "^s3://([%w][%w.-]+)(.*)$"
  if not bucket then return usage(("'%s' is no address of a store"):format(address), "Write it as s3://bucket/prefix?region=eu-central-1; another store than Amazon's has &endpoint=URL, too.") end
  local path, query = rest:match "^([^?]*)%??(.*)$"
  local settings = { region = "us-east-1" }
  for name, value in query:gmatch "([^=&]+)=([^&]*)" do
    if name ~= "endpoint" and name ~= "region" then return usage(("'%s': an address of a store has endpoint and region, not '%s'"):format(address, name)) end
    settings[name] = value
  end
  local store = setmetatable({
    address = address, bucket = bucket, region = settings.region, endpoint = (settings.endpoint or ("https://s3.%s.amazonaws.com"):format(settings.region)):gsub("/+$", ""),
    prefix = path:gsub("^/+", ""):gsub("/+$", "") .. "/", part_bytes = options.part_bytes or PART_BYTES, page = options.page, timeout = options.timeout or TIMEOUT_S,
    access_key = options.access_key or core_secret.environment "AWS_ACCESS_KEY_ID", secret_key = options.secret_key or core_secret.environment "AWS_SECRET_ACCESS_KEY",
    session_token = options.session_token or core_secret.environment "AWS_SESSION_TOKEN", sent_bytes = 0,
  }, Store)
  if store.prefix == "/" then store.prefix = "" end
  if not store.access_key or not store.secret_key then return usage("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in the environment", "export both, and run again.") end
  return store
end

return M
