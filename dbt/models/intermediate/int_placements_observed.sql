with

cm360 as (

    select
        'cm360' as platform,
        account_id,
        snapshot_date,
        placement_id,
        campaign_id,
        advertiser_id,
        site_id,
        placement_name,
        coalesce(active_status = 'PLACEMENT_STATUS_ACTIVE', false) as is_active,
        compatibility,
        width,
        height,
        start_date,
        end_date
    from {{ ref('stg_cm360__placement') }}

)

select * from cm360
