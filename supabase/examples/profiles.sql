-- A worked example for a table that already exists: it has its own key, other column names, and an
-- e-mail address that is unique and required. Only SQL changes.
--
-- Copy this file into supabase/migrations in place of the one that creates public.users, and put
-- your own table in place of profiles. The rules (order, tombstones, receipts) stay in the file
-- after it.
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

-- What the rules need to know about a row.
alter table public.profiles
  add column if not exists changed_at timestamptz,
  add column if not exists deleted_at timestamptz,
  add column if not exists synced_at timestamptz,
  add column if not exists sync_source text;

grant select, insert, update on public.profiles to service_role;


-- The address of a user who has none: a deleted user, a user who signed up by phone, or a user
-- whose address now belongs to another user. No mail is ever delivered to `.invalid` (RFC 2606).
create or replace function public.user_sync_no_email(clerk_user_id text)
returns text
language sql immutable
set search_path = ''
as $$
  select clerk_user_id || '@no-email.invalid'
$$;


-- The function returns the row type of the table, and `create or replace` cannot change that.
drop function if exists public.user_sync_row(jsonb);
create function public.user_sync_row(clerk_user jsonb)
returns public.profiles
language plpgsql immutable
set search_path = ''
as $$
declare
  mapped public.profiles;
begin
  mapped.clerk_user_id := clerk_user ->> 'id';
  select address ->> 'email_address' into mapped.email
  from jsonb_array_elements(clerk_user -> 'email_addresses') as address
  where address ->> 'id' = clerk_user ->> 'primary_email_address_id';
  mapped.email := coalesce(
    nullif(mapped.email, ''), public.user_sync_no_email(mapped.clerk_user_id));
  mapped.full_name := nullif(
    trim(concat_ws(' ', clerk_user ->> 'first_name', clerk_user ->> 'last_name')), '');
  mapped.avatar_url := nullif(clerk_user ->> 'image_url', '');
  mapped.changed_at := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  return mapped;
end
$$;


create or replace function public.user_sync_find(clerk_id text)
returns table (email text, updated_at timestamptz, deleted_at timestamptz, synced_at timestamptz)
language sql stable
set search_path = ''
as $$
  select stored.email, stored.changed_at, stored.deleted_at, stored.synced_at
  from public.profiles as stored
  where stored.clerk_user_id = clerk_id
$$;


create or replace function public.user_sync_store(clerk_user jsonb, source text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  mapped public.profiles := public.user_sync_row(clerk_user);
  stored public.profiles;
  displaced text[];
  outcome text;
begin
  mapped.synced_at := now();

  -- In Clerk an address belongs to one user at a time. If two rows claim it, one is out of date:
  -- the newer keeps it, the older gives it up and is in doubt, so that user's next page load reads
  -- them from Clerk again. The update itself checks the time, because another call may be writing
  -- the other row right now.
  update public.profiles as other
  set email = public.user_sync_no_email(other.clerk_user_id), synced_at = null
  where other.email = mapped.email and other.clerk_user_id <> mapped.clerk_user_id
    and (other.changed_at is null or other.changed_at <= mapped.changed_at)
  returning array[other.clerk_user_id] into displaced;

  -- If a newer row has the address, this user gives it up. If an older row took it after the update
  -- above, the insert below fails on the unique constraint and the caller writes again.
  if displaced is null and exists (
    select from public.profiles as other
    where other.email = mapped.email and other.clerk_user_id <> mapped.clerk_user_id
      and other.changed_at > mapped.changed_at
  ) then
    displaced := array[mapped.clerk_user_id];
    mapped.email := public.user_sync_no_email(mapped.clerk_user_id);
    mapped.synced_at := null;
  end if;

  select * into stored from public.profiles as before
  where before.clerk_user_id = mapped.clerk_user_id;
  outcome := case
    when stored.id is null then 'created'
    when (stored.email, stored.full_name, stored.avatar_url, stored.changed_at)
      is distinct from
      (mapped.email, mapped.full_name, mapped.avatar_url, mapped.changed_at)
      then 'updated'
    else 'unchanged'
  end;

  insert into public.profiles
    (clerk_user_id, email, full_name, avatar_url, changed_at, synced_at, sync_source)
  values (mapped.clerk_user_id, mapped.email, mapped.full_name, mapped.avatar_url,
    mapped.changed_at, mapped.synced_at, source)
  on conflict (clerk_user_id) do update
    set (email, full_name, avatar_url, changed_at, synced_at, sync_source)
    = (excluded.email, excluded.full_name, excluded.avatar_url, excluded.changed_at,
      excluded.synced_at, excluded.sync_source);

  return jsonb_build_object('outcome', outcome, 'email', mapped.email,
    'displaced', coalesce(displaced, '{}'));
end
$$;


create or replace function public.user_sync_doubt(clerk_id text)
returns void
language sql
set search_path = ''
as $$
  update public.profiles set synced_at = null where clerk_user_id = clerk_id
$$;


create or replace function public.user_sync_erase(clerk_id text, at timestamptz, source text)
returns void
language sql
set search_path = ''
as $$
  insert into public.profiles (clerk_user_id, email, deleted_at, synced_at, sync_source)
  values (clerk_id, public.user_sync_no_email(clerk_id), at, now(), source)
  on conflict (clerk_user_id) do update
    set (email, full_name, avatar_url, deleted_at, synced_at, sync_source)
    = (excluded.email, null, null, excluded.deleted_at, excluded.synced_at, excluded.sync_source)
$$;


revoke execute on function
  public.user_sync_no_email, public.user_sync_row, public.user_sync_find,
  public.user_sync_store, public.user_sync_doubt, public.user_sync_erase
from public, anon, authenticated;
grant execute on function
  public.user_sync_no_email, public.user_sync_row, public.user_sync_find,
  public.user_sync_store, public.user_sync_doubt, public.user_sync_erase
to service_role;

notify pgrst, 'reload schema';
