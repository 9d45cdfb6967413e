-- A worked example for a table that already exists: it has its own key, other column names, and an
-- e-mail address that is unique and required. Only SQL changes, and the table gets no column.
--
-- Run a copy of this file in place of the migration that creates public.users, and put your own
-- table in place of profiles. The rules (order, tombstones, receipts) stay in the file before it.
--
-- The table before:
--
--   create table public.profiles (
--     id uuid primary key default gen_random_uuid(),
--     clerk_user_id text not null unique,
--     email text not null unique,
--     full_name text,
--     avatar_url text,
--     plan text not null default 'free'
--   );
--
-- Parameters and variables never have the name of a column, or are qualified: in
-- `where clerk_id = clerk_id` both sides would be the same.

-- The address of a user who has none: a deleted user, a user who signed up by phone, or a user
-- whose address now belongs to another user. No mail is ever delivered to `.invalid` (RFC 2606).
create or replace function user_sync.no_email(clerk_id text)
returns text
language sql immutable
as $$
  select clerk_id || '@no-email.invalid'
$$;


create or replace function user_sync.row_exists(clerk_id text)
returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select from public.profiles as stored where stored.clerk_user_id = row_exists.clerk_id);
end
$$;


create or replace function user_sync.write_row(clerk_user jsonb)
returns jsonb
language plpgsql
as $$
declare
  version constant timestamptz := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  mapped public.profiles;
  holder text;
  holder_version timestamptz;
  displaced text[] := '{}';
  is_changed boolean;
begin
  mapped.clerk_user_id := clerk_user ->> 'id';
  mapped.email := coalesce(
    nullif(user_sync.primary_of(clerk_user -> 'email_addresses',
      clerk_user -> 'primary_email_address_id') ->> 'email_address', ''),
    user_sync.no_email(mapped.clerk_user_id));
  mapped.full_name := nullif(
    trim(concat_ws(' ', clerk_user ->> 'first_name', clerk_user ->> 'last_name')), '');
  mapped.avatar_url := nullif(clerk_user ->> 'image_url', '');

  -- In Clerk an address belongs to one user at a time. If two rows claim it, one is out of date:
  -- the newer keeps it, the older gives it up and is in doubt, so that user's next page load reads
  -- them from Clerk again.
  loop
    select other.clerk_user_id into holder
    from public.profiles as other
    where other.email = mapped.email and other.clerk_user_id <> mapped.clerk_user_id;
    exit when not found;
    -- The holder's version is in the state. Its lock comes before the one of the holder's row, as
    -- in every write, and after it the holder's row cannot change: another call may be writing it.
    select state.updated_at into holder_version
    from user_sync.users as state
    where state.id = holder
    for update;
    if holder_version > version then
      -- While this waited, the holder may have moved on to another address.
      continue when not exists (
        select from public.profiles as other
        where other.clerk_user_id = holder and other.email = mapped.email
      );
      -- Whoever holds even the placeholder of this user is left to the unique constraint.
      exit when mapped.email = user_sync.no_email(mapped.clerk_user_id);
      displaced := displaced || mapped.clerk_user_id;
      mapped.email := user_sync.no_email(mapped.clerk_user_id);
    else
      -- While this waited, the holder may have moved on to another address.
      update public.profiles as other
      set email = user_sync.no_email(other.clerk_user_id)
      where other.clerk_user_id = holder and other.email = mapped.email;
      if found then
        displaced := displaced || holder;
      end if;
    end if;
  end loop;

  select (stored.email, stored.full_name, stored.avatar_url)
    is distinct from (mapped.email, mapped.full_name, mapped.avatar_url)
  into is_changed
  from public.profiles as stored
  where stored.clerk_user_id = mapped.clerk_user_id;

  -- If another user took the address after the loop, this fails on the unique constraint, and the
  -- caller writes again.
  if is_changed is distinct from false then
    insert into public.profiles (clerk_user_id, email, full_name, avatar_url)
    values (mapped.clerk_user_id, mapped.email, mapped.full_name, mapped.avatar_url)
    on conflict (clerk_user_id) do update
      set (email, full_name, avatar_url)
      = (excluded.email, excluded.full_name, excluded.avatar_url);
  end if;

  return jsonb_build_object(
    'outcome', case is_changed
      when true then 'updated' when false then 'unchanged' else 'created' end,
    'email', mapped.email,
    'displaced', displaced);
end
$$;


create or replace function user_sync.erase_row(clerk_id text, deleted_at timestamptz)
returns void
language plpgsql
as $$
begin
  update public.profiles as stored
  set (email, full_name, avatar_url) = (user_sync.no_email(erase_row.clerk_id), null, null)
  where stored.clerk_user_id = erase_row.clerk_id;
end
$$;


revoke execute on all routines in schema user_sync from public;
