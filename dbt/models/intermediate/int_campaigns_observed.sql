with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        campaign_id,
        advertiser_id,
        campaign_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        start_date,
        end_date
    from {{ ref('stg_dv360__campaign') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        campaign_id,
        advertiser_id,
        campaign_name,
        coalesce(is_active, false) as is_active,
        start_date,
        end_date
    from {{ ref('stg_dv360_erf__campaign') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

),

cm360 as (

    select
        'cm360' as platform,
        account_id,
        snapshot_date,
        campaign_id,
        advertiser_id,
        campaign_name,
        not coalesce(is_archived, false) as is_active,
        start_date,
        end_date
    from {{ ref('stg_cm360__campaign') }}

)

select * from dv360
union all
select * from cm360
