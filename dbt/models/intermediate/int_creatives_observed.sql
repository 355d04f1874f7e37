with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        creative_id,
        advertiser_id,
        creative_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        creative_type,
        width,
        height,
        cm_placement_id
    from {{ ref('stg_dv360__creative') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        creative_id,
        advertiser_id,
        creative_name,
        coalesce(is_active, false) as is_active,
        {{ no_text() }} as creative_type,
        width_pixels as width,
        height_pixels as height,
        cm_placement_id
    from {{ ref('stg_dv360_erf__creative') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

),

cm360 as (

    select
        'cm360' as platform,
        account_id,
        snapshot_date,
        creative_id,
        advertiser_id,
        creative_name,
        coalesce(is_active, false) and not coalesce(is_archived, false) as is_active,
        creative_type,
        width,
        height,
        {{ no_id() }} as cm_placement_id
    from {{ ref('stg_cm360__creative') }}

)

select * from dv360
union all
select * from cm360
