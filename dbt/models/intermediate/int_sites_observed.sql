with

cm360 as (

    select
        'cm360' as platform,
        account_id,
        snapshot_date,
        site_id,
        site_name,
        coalesce(is_approved, false) as is_active,
        directory_site_id
    from {{ ref('stg_cm360__site') }}

)

select * from cm360
